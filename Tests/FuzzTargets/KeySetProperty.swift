internal import Identity
internal import Wire

/// A whole key set is read the same twice, names its keys clearly, has no secret unless it may, and
/// every key only fits algorithms of its kind. A ring that publishes it can be read back.
enum KeySetProperty {
    private static let token = Array("eyJhbGciOiJFUzI1NiJ9.e30.AAAA".utf8)

    static func fault(_ bytes: [UInt8]) -> String? {
        let (mode, text) = bytes.split()
        let allowsSecrets = mode % 2 == 1
        guard let set = try? KeySet(parsing: text, allowsSecrets: allowsSecrets) else {
            return allowsSecrets ? nil : ringFault(text, isKeySet: false)
        }
        guard set.keys.count + set.omissions.count <= KeySet.keysMax else { return "has too many" }
        let again = try? KeySet(parsing: text, allowsSecrets: allowsSecrets)
        guard again?.digest == set.digest, again?.keys.count == set.keys.count else {
            return "is read in two ways"
        }
        for key in set.keys {
            if let fault = fault(key, in: set, allowsSecrets: allowsSecrets) { return fault }
        }
        return allowsSecrets ? nil : ringFault(text, isKeySet: true)
    }

    private static func fault(
        _ key: VerificationKey, in set: KeySet, allowsSecrets: Bool
    ) -> String? {
        let isSecret = if case .secret = key.kind { true } else { false }
        if isSecret, !allowsSecrets { return "a secret is taken" }
        if isSecret != set.holdsSecret { return "secrets are mixed with keys" }
        for algorithm in TokenAlgorithm.allCases where key.fits(algorithm) {
            let isHMAC = !TokenAlgorithm.asymmetric.contains(algorithm)
            if isHMAC != isSecret { return "a key fits \(algorithm)" }
        }
        if let keyID = key.keyID, set.key(keyID)?.keyID?.hasSameBytes(as: keyID) != true {
            return "a key is not found by its name"
        }
        if let token = try? CompactToken(parsing: token.span), key.verifies(token) {
            return "a key verifies what it has not signed"
        }
        return nil
    }

    private static func ringFault(_ text: [UInt8], isKeySet: Bool) -> String? {
        guard var ring = try? KeyRing(parsing: text) else {
            return isKeySet ? "no ring can hold it" : nil
        }
        if !isKeySet { return "a ring takes what is no key set" }
        guard (try? KeyRing(parsing: ring.text))?.entries == ring.entries else {
            return "its ring does not read back"
        }
        let count = ring.entries.count
        ring.retire(allBut: [], until: 7)
        guard ring.entries.count == count, (try? KeyRing(parsing: ring.text)) != nil else {
            return "its ring does not read back once retired"
        }
        return nil
    }
}
