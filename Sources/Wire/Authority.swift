/// `:authority` and host: `name`, `name:port`, `1.2.3.4:port` or `[2001:db8::1]:port`.
public enum Authority {
    /// Where the host is in `value`, without the port and without one trailing dot, an IPv6 address
    /// with its brackets; nil if `value` is not an authority.
    ///
    /// A host name is at most 255 letters, digits and `- . _ ~` with no empty label, which is
    /// stricter than RFC 3986, 3.2.2: percent-encoding and `! $ & ' ( ) * + , ; =` name no host but
    /// confuse those who compare. Userinfo and zone identifiers are not allowed. A port is one to
    /// five digits and at most 65535.
    public static func check(_ value: Span<UInt8>) -> Range<Int>? {
        guard !value.isEmpty else { return nil }
        if value[0] == UInt8(ascii: "[") { return checkIPv6(value) }
        var index = 0
        var labelStart = 0
        while index < value.count {
            let byte = value[index]
            if byte == UInt8(ascii: ".") {
                if index == labelStart { return nil }
                labelStart = index + 1
            } else if byte == UInt8(ascii: ":") {
                break
            } else if !ByteSet.unreserved.contains(byte) {
                return nil
            }
            index &+= 1
        }
        let end = labelStart == index ? index - 1 : index
        guard end > 0, end <= hostBytesMax, isPort(value, from: index) else { return nil }
        return 0..<end
    }

    /// Whether two valid authorities are the same text, letters' case aside. A port given in only
    /// one of them makes them differ: nothing here knows the scheme's default.
    public static func isSame(_ a: Span<UInt8>, _ b: Span<UInt8>) -> Bool {
        guard a.count == b.count else { return false }
        for index in a.indices where a[index] != b[index] {
            if a[index].lowercasedASCII != b[index].lowercasedASCII { return false }
        }
        return true
    }

    /// A name in DNS has at most 253 characters; two more cost nothing.
    static let hostBytesMax = 255

    private static func checkIPv6(_ value: Span<UInt8>) -> Range<Int>? {
        var end = 1
        while end < value.count, value[end] != UInt8(ascii: "]") { end += 1 }
        guard end < value.count, IPText.ipv6(value.extracting(1..<end)) != nil,
            isPort(value, from: end + 1)
        else { return nil }
        return 0..<(end + 1)
    }

    /// True if nothing is left at `start`, or a colon and a port.
    private static func isPort(_ value: Span<UInt8>, from start: Int) -> Bool {
        if start == value.count { return true }
        let digits = value.count - start - 1
        guard value[start] == UInt8(ascii: ":"), digits >= 1, digits <= 5 else { return false }
        var port: UInt32 = 0
        for index in (start + 1)..<value.count {
            let digit = value[index] &- UInt8(ascii: "0")
            guard digit <= 9 else { return false }
            port = port &* 10 &+ UInt32(digit)
        }
        return port <= 65_535
    }
}
