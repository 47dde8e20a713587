internal import Wire

/// The keys of an issuer, as a JSON Web Key Set names them (RFC 7517, 5). Keys that cannot be used
/// here are left out; a set that can be understood in two ways is refused whole.
public final class KeySet: Sendable {
    public static let bytesMax = 262_144
    public static let keysMax = 100
    public static let secretBytesMax = 1_024

    public enum ParseError: Error, Hashable, Sendable {
        case tooLarge
        case notJSON(String)
        case notKeySet
        case tooManyKeys
        /// Two usable keys have this `kid`.
        case sameKeyID(String)
        /// Secrets beside public keys: what checks signatures of one kind could make those of the
        /// other.
        case mixed
    }

    /// A key that was left out.
    public struct Omission: Hashable, Sendable {
        public let index: Int
        public let reason: KeyFault
    }

    /// Those that can be used.
    public let keys: [VerificationKey]
    public let omissions: [Omission]
    /// The same for the same bytes.
    public let digest: [UInt8]
    private let indexByKeyID: [[UInt8]: Int]

    /// - allowsSecrets: the set is an issuer's secret, and then holds nothing else.
    public convenience init(parsing bytes: [UInt8], allowsSecrets: Bool) throws(ParseError) {
        guard bytes.count <= Self.bytesMax else { throw .tooLarge }
        let json: JSONValue
        do { json = try JSONParser.parse(bytes.span) } catch { throw .notJSON(error.description) }
        guard case .array(let entries) = json["keys"] else { throw .notKeySet }
        guard entries.count <= Self.keysMax else { throw .tooManyKeys }
        var keys: [VerificationKey] = []
        var omissions: [Omission] = []
        var doubtful: [String] = []
        for (index, entry) in entries.enumerated() {
            do throws(KeyFault) {
                keys.append(try KeyReader.key(entry, allowsSecrets: allowsSecrets))
            } catch {
                omissions.append(Omission(index: index, reason: error))
                if error.leavesDoubt, case .string(let keyID) = entry["kid"] {
                    doubtful.append(keyID)
                }
            }
        }
        // Whoever has that key reads the set in another way.
        if let keyID = doubtful.first(where: { name in
            keys.contains { $0.keyID?.hasSameBytes(as: name) ?? false }
        }) {
            throw .sameKeyID(keyID)
        }
        if allowsSecrets, keys.contains(where: \.isSecret), !keys.allSatisfy(\.isSecret) {
            throw .mixed
        }
        try self.init(keys, omissions, digest: SHA256Digest.of(bytes))
    }

    /// One secret, which signs by any HMAC that it is long enough for.
    public convenience init(secret: [UInt8]) {
        let key = VerificationKey(
            keyID: nil, kind: .secret(byteCount: secret.count), algorithm: nil, use: .signature,
            spiffeID: nil, material: SignatureKey(secret: secret))
        self.init(only: key, digest: SHA256Digest.of(secret))
    }

    private init(
        _ keys: [VerificationKey], _ omissions: [Omission], digest: [UInt8]
    ) throws(ParseError) {
        var indexByKeyID: [[UInt8]: Int] = [:]
        for (index, key) in keys.enumerated() {
            guard let keyID = key.keyID else { continue }
            guard indexByKeyID.updateValue(index, forKey: Array(keyID.utf8)) == nil else {
                throw .sameKeyID(keyID)
            }
        }
        self.keys = keys
        self.omissions = omissions
        self.digest = digest
        self.indexByKeyID = indexByKeyID
    }

    private init(only key: VerificationKey, digest: [UInt8]) {
        keys = [key]
        omissions = []
        self.digest = digest
        indexByKeyID = [:]
    }

    /// The secret that a file holds: all of it but one line end behind it, which editors add.
    public static func secret(in file: [UInt8]) -> [UInt8] {
        var secret = file
        if secret.last == UInt8(ascii: "\n") {
            secret.removeLast()
            if secret.last == UInt8(ascii: "\r") { secret.removeLast() }
        }
        return secret
    }

    /// It is a secret's, and holds nothing else.
    public var holdsSecret: Bool { keys.contains(where: \.isSecret) }

    /// The key of that `kid`. A secret from a file has none, and is meant by every one.
    public func key(_ keyID: String) -> VerificationKey? {
        if let index = indexByKeyID[Array(keyID.utf8)] { return keys[index] }
        if keys.count == 1, keys[0].isSecret, keys[0].keyID == nil { return keys[0] }
        return nil
    }
}

extension VerificationKey {
    var isSecret: Bool { if case .secret = kind { true } else { false } }
}

extension KeySet.ParseError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .tooLarge: "more than \(KeySet.bytesMax / 1_024) KiB"
        case .notJSON(let reason): "not strict JSON: \(reason)"
        case .notKeySet: "no object with an array 'keys'"
        case .tooManyKeys: "more than \(KeySet.keysMax) keys"
        case .sameKeyID(let keyID): "two keys with the kid '\(keyID)'"
        case .mixed: "secrets beside public keys"
        }
    }
}
