/// An HMAC, which signs tokens by a secret (RFC 7518, 3.2).
public enum MessageCode {
    /// Nil for other algorithms, and for no secret at all.
    public static func of(
        _ message: [UInt8], _ secret: [UInt8], _ algorithm: TokenAlgorithm
    ) -> [UInt8]? {
        SignatureKey.code(secret, message, algorithm)
    }
}
