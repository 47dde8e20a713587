/// A SPIFFE ID: who a workload is, `spiffe://trust-domain/path` (SPIFFE-ID, 2). Compared byte by
/// byte; scheme and trust domain were made lower case.
public struct SPIFFEID: Hashable, Sendable, CustomStringConvertible {
    /// SPIFFE-ID, 2.3.
    public static let bytesMax = 2_048
    /// SPIFFE-ID, 2.1.
    public static let trustDomainBytesMax = 255
    private static let scheme = Array("spiffe://".utf8)

    public enum ParseError: Error, Equatable {
        case tooLong, scheme, trustDomain, path
    }

    /// The whole ID.
    public let description: String
    private let domainEnd: Int

    public var trustDomain: Substring {
        let utf8 = description.utf8.dropFirst(Self.scheme.count)
        return Substring(utf8.prefix(domainEnd - Self.scheme.count))
    }

    /// Empty for a trust domain's own ID, otherwise with a leading `/`.
    public var path: Substring { Substring(description.utf8.dropFirst(domainEnd)) }

    /// - bytes: what a certificate or a token says, of any length and content.
    public init(parsing bytes: Span<UInt8>) throws(ParseError) {
        guard bytes.count <= Self.bytesMax else { throw .tooLong }
        var text: [UInt8] = []
        text.reserveCapacity(bytes.count)
        guard bytes.count >= Self.scheme.count else { throw .scheme }
        for index in Self.scheme.indices {
            let byte = Self.lowercased(bytes[index])
            guard byte == Self.scheme[index] else { throw .scheme }
            text.append(byte)
        }
        var index = text.count
        while index < bytes.count, bytes[index] != UInt8(ascii: "/") {
            let byte = Self.lowercased(bytes[index])
            guard Self.isOfTrustDomain(byte) else { throw .trustDomain }
            text.append(byte)
            index += 1
        }
        domainEnd = index
        let length = index - Self.scheme.count
        guard length > 0, length <= Self.trustDomainBytesMax else { throw .trustDomain }
        guard Self.isPath(bytes.extracting(index...)) else { throw .path }
        while index < bytes.count {
            text.append(bytes[index])
            index += 1
        }
        description = String(decoding: text, as: UTF8.self)
    }

    public init(_ text: String) throws(ParseError) { try self.init(parsing: text.utf8.span) }

    private static func lowercased(_ byte: UInt8) -> UInt8 {
        (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) ? byte | 0x20 : byte
    }

    private static func isOfTrustDomain(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
            UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_"):
            true
        default: false
        }
    }

    /// Segments of letters, digits, `.`, `-` and `_`, none of them empty, `.` or `..`
    /// (SPIFFE-ID, 2.2).
    private static func isPath(_ bytes: Span<UInt8>) -> Bool {
        var index = 0
        while index < bytes.count {
            guard bytes[index] == UInt8(ascii: "/") else { return false }
            let start = index + 1
            index = start
            var dots = 0
            while index < bytes.count, bytes[index] != UInt8(ascii: "/") {
                guard isOfTrustDomain(lowercased(bytes[index])) else { return false }
                if bytes[index] == UInt8(ascii: ".") { dots += 1 }
                index += 1
            }
            let length = index - start
            if length == 0 || length <= 2 && dots == length { return false }
        }
        return true
    }
}
