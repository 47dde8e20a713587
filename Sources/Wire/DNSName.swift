/// A domain name as messages have it: labels with their lengths in front, without the root's. Upper
/// and lower case are the same (RFC 1035, 2.3.3): letters are kept in lower case.
public struct DNSName: Hashable, Sendable {
    /// RFC 1035, 2.3.4: the root's length is one of 255 octets.
    public static let bytesMax = 254
    public static let labelBytesMax = 63

    public private(set) var bytes: [UInt8] = []

    public init() {}

    /// `orders.internal`, with or without a dot at its end; nil for what is no name of a host or of
    /// a service (letters, digits, `-` and `_`).
    public init?(parsing text: String) {
        var rest = Array(text.utf8)[...]
        if rest.last == UInt8(ascii: ".") { rest = rest.dropLast() }
        if rest.isEmpty { return nil }
        for label in rest.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false) {
            guard label.allSatisfy(Self.isPlain), append(label) else { return nil }
        }
    }

    /// False, and nothing is added, where the label or the name would be too long or empty.
    mutating func append(_ label: ArraySlice<UInt8>) -> Bool {
        guard !label.isEmpty, label.count <= Self.labelBytesMax,
            bytes.count + 1 + label.count <= Self.bytesMax
        else { return false }
        bytes.append(UInt8(label.count))
        for byte in label { bytes.append(Self.lowercased(byte)) }
        return true
    }

    public var isRoot: Bool { bytes.isEmpty }

    /// With dots and none at its end; nil for the root, and for names with other bytes than
    /// letters, digits, `-` and `_`: none that a host is known to have.
    public var text: String? {
        var text: [UInt8] = []
        var index = 0
        while index < bytes.count {
            let label = bytes[(index + 1)..<(index + 1 + Int(bytes[index]))]
            guard label.allSatisfy(Self.isPlain) else { return nil }
            if !text.isEmpty { text.append(UInt8(ascii: ".")) }
            text += label
            index += 1 + label.count
        }
        return text.isEmpty ? nil : String(decoding: text, as: UTF8.self)
    }

    private static func lowercased(_ byte: UInt8) -> UInt8 {
        byte >= UInt8(ascii: "A") && byte <= UInt8(ascii: "Z") ? byte | 0x20 : byte
    }

    private static func isPlain(_ byte: UInt8) -> Bool {
        let letter = byte | 0x20
        return letter >= UInt8(ascii: "a") && letter <= UInt8(ascii: "z")
            || byte >= UInt8(ascii: "0") && byte <= UInt8(ascii: "9")
            || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_")
    }
}
