internal import Wire

/// A token's JOSE header (RFC 7515, 4), after everything that Weir has no use for was refused.
public struct TokenHeader: Hashable, Sendable {
    public static let keyIDBytesMax = 256

    public let algorithm: TokenAlgorithm
    public let keyID: String?
    public let type: String?
    /// It has no fields but `alg`, `kid` and `typ`, which is all that a JWT-SVID may have.
    public let isPlain: Bool

    /// - bytes: the header as JSON.
    init(parsing bytes: [UInt8]) throws(TokenRefusal) {
        guard let json = try? JSONParser.parse(bytes.span), case .object(let members) = json else {
            throw .headerJSON
        }
        for member in members {
            if let refusal = Self.refusal(of: member.name) { throw refusal }
        }
        guard case .string(let name) = json["alg"] else { throw .algorithmMissing }
        guard let algorithm = TokenAlgorithm(exactly: name) else {
            throw name.lowercased() == "none" ? .algorithmNone : .algorithmUnknown
        }
        self.algorithm = algorithm
        keyID = try Self.keyID(json["kid"])
        type = try Self.type(json["typ"])
        isPlain = members.allSatisfy { member in
            ["alg", "kid", "typ"].contains { member.name.hasSameBytes(as: $0) }
        }
    }

    /// Fields that change what is signed or with what, whatever their value.
    private static func refusal(of name: String) -> TokenRefusal? {
        switch name {
        case "crit": .critical
        case "b64": .unencodedPayload
        case "zip": .compressed
        case "enc", "epk", "apu", "apv", "p2s", "p2c", "iv", "tag": .encrypted
        case "cty": .nested
        case "jwk", "jku", "x5u", "x5c": .embeddedKey
        default: nil
        }
    }

    private static func keyID(_ value: JSONValue?) throws(TokenRefusal) -> String? {
        guard let value else { return nil }
        guard case .string(let text) = value, (1...keyIDBytesMax).contains(text.utf8.count) else {
            throw .keyIDForm
        }
        return text
    }

    private static func type(_ value: JSONValue?) throws(TokenRefusal) -> String? {
        guard let value else { return nil }
        guard case .string(let text) = value else { throw .type }
        return text
    }
}

extension TokenAlgorithm {
    /// By its exact bytes.
    public init?(exactly name: String) {
        guard let found = Self.allCases.first(where: { $0.rawValue.hasSameBytes(as: name) }) else {
            return nil
        }
        self = found
    }
}
