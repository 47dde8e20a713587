public import Wire

/// Makes tokens with one key.
public struct TokenSigner: Sendable {
    public let key: SigningKey
    public let algorithm: TokenAlgorithm
    /// Goes into the header.
    public let keyID: String

    /// Nil where the key is not for that algorithm.
    ///
    /// - keyID: the key's thumbprint where it has no other name.
    public init?(_ key: SigningKey, _ algorithm: TokenAlgorithm? = nil, keyID: String? = nil) {
        let algorithm = algorithm ?? key.kind.usualAlgorithm
        guard key.kind.fits(algorithm), let keyID = keyID ?? key.publicParts?.thumbprint else {
            return nil
        }
        self.key = key
        self.algorithm = algorithm
        self.keyID = keyID
    }

    /// A token with those claims, in compact serialisation; nil where OpenSSL fails.
    ///
    /// - claims: an object.
    public func mint(_ claims: JSONValue) -> [UInt8]? {
        let header = JSONValue.object([
            .init(name: "alg", value: .string(algorithm.rawValue)),
            .init(name: "kid", value: .string(keyID)),
            .init(name: "typ", value: .string("JWT")),
        ])
        var token: [UInt8] = []
        Base64URL.encode(header.bytes.span, into: &token)
        token.append(UInt8(ascii: "."))
        Base64URL.encode(claims.bytes.span, into: &token)
        guard let signature = key.sign(token, algorithm) else { return nil }
        token.append(UInt8(ascii: "."))
        Base64URL.encode(signature.span, into: &token)
        return token
    }
}
