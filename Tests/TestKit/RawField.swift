/// A header field of any bytes, also of those that none may have.
public struct RawField: Equatable, Sendable {
    public let name: [UInt8]
    public let value: [UInt8]

    public init(_ name: [UInt8], _ value: [UInt8]) {
        self.name = name
        self.value = value
    }

    public init(_ name: String, _ value: String) {
        self.init(Array(name.utf8), Array(value.utf8))
    }

    /// Spelt out, for no table (RFC 7541, 6.2.2).
    var literal: [UInt8] { [0] + Self.string(name) + Self.string(value) }

    /// With its length in front, of which seven bits are in the first byte (RFC 7541, 5.1 and 5.2).
    private static func string(_ bytes: [UInt8]) -> [UInt8] {
        guard bytes.count >= 127 else { return [UInt8(bytes.count)] + bytes }
        var length: [UInt8] = [127]
        var rest = bytes.count - 127
        while rest >= 128 {
            length.append(UInt8(rest & 127) | 128)
            rest >>= 7
        }
        return length + [UInt8(rest)] + bytes
    }
}
