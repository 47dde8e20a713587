internal import Wire

/// A signed token in compact serialisation (RFC 7515, 7.1): the only one that is read.
public struct CompactToken: Sendable {
    public static let bytesMax = 16_384

    public let header: TokenHeader
    /// What was signed over: the claims.
    public let payload: [UInt8]
    public let signature: [UInt8]
    /// The token up to its second dot.
    public let signedBytes: [UInt8]

    public init(parsing token: Span<UInt8>) throws(TokenRefusal) {
        guard token.count <= Self.bytesMax else { throw .tooLarge }
        let dots = token.indices.filter { token[$0] == UInt8(ascii: ".") }
        guard dots.count == 2, dots[0] > 0, dots[1] > dots[0] + 1, dots[1] + 1 < token.count else {
            throw .notCompact
        }
        guard let header = Base64URL.decode(token.extracting(..<dots[0])) else {
            throw .headerEncoding
        }
        guard let payload = Base64URL.decode(token.extracting((dots[0] + 1)..<dots[1])) else {
            throw .payloadEncoding
        }
        guard let signature = Base64URL.decode(token.extracting((dots[1] + 1)...)) else {
            throw .signatureEncoding
        }
        self.header = try TokenHeader(parsing: header)
        self.payload = payload
        self.signature = signature
        signedBytes = (0..<dots[1]).map { token[$0] }
    }
}
