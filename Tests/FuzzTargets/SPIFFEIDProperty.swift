internal import Identity

/// An ID is accepted if a second reading of the standard accepts it, and is then its own spelling;
/// patterns of peers read back as they are written.
enum SPIFFEIDProperty {
    static func fault(_ bytes: [UInt8]) -> String? {
        let id = try? SPIFFEID(parsing: bytes.span)
        let expected = reference(bytes)
        guard id?.description == expected else {
            return "read as \(id?.description ?? "nothing"), not as \(expected ?? "nothing")"
        }
        if let id {
            guard (try? SPIFFEID(id.description)) == id else { return "is not its own spelling" }
            guard "spiffe://\(id.trustDomain)\(id.path)" == id.description else {
                return "is more than its parts"
            }
        }
        return patternFault(String(decoding: bytes, as: UTF8.self))
    }

    /// SPIFFE-ID, 2, word for word and slowly: the ID in its own spelling, or nil.
    private static func reference(_ bytes: [UInt8]) -> String? {
        guard bytes.count <= 2_048, bytes.allSatisfy({ $0 < 0x80 }) else { return nil }
        let text = String(decoding: bytes, as: UTF8.self)
        guard text.prefix(9).lowercased() == "spiffe://" else { return nil }
        let parts = text.dropFirst(9).split(separator: "/", omittingEmptySubsequences: false)
        guard let first = parts.first else { return nil }
        let domain = first.lowercased()
        guard (1...255).contains(domain.count), domain.allSatisfy(isWord) else { return nil }
        for segment in parts.dropFirst() {
            guard !segment.isEmpty, segment != ".", segment != "..", segment.allSatisfy(isWord)
            else { return nil }
        }
        return "spiffe://" + ([Substring(domain)] + parts.dropFirst()).joined(separator: "/")
    }

    private static func isWord(_ character: Character) -> Bool {
        character.isASCII && (character.isLetter || character.isNumber)
            || character == "." || character == "-" || character == "_"
    }

    private static func patternFault(_ text: String) -> String? {
        guard let pattern = try? PeerPattern(text) else { return nil }
        guard (try? PeerPattern(pattern.description)) == pattern else {
            return "the pattern \(pattern) does not read back"
        }
        guard case .exactly(let id) = pattern else { return nil }
        let itself = peer(id)
        guard pattern.matches(itself) else { return "the pattern \(pattern) misses its own ID" }
        if let below = try? PeerPattern(id.description + "/*"), below.matches(itself) {
            return "the pattern \(below) matches what it is below"
        }
        let other = try? SPIFFEID(id.description + "x")
        if let other, pattern.matches(peer(other)) { return "the pattern \(pattern) is a prefix" }
        return nil
    }

    private static func peer(_ id: SPIFFEID) -> PeerIdentity {
        PeerIdentity(
            spiffeID: id, dnsNames: [], trust: String(id.trustDomain), expiresAt: 0,
            fingerprint: [])
    }
}
