/// IP addresses as text.
public enum IPText {
    /// Four decimal octets without leading zeros (RFC 6943, 3.1.1: other forms are read in
    /// different ways); nil for anything else.
    public static func ipv4(_ text: Span<UInt8>) -> UInt32? {
        var address: UInt32 = 0
        var start = 0
        for octet in 1...4 {
            var end = start
            while end < text.count, text[end] != UInt8(ascii: ".") { end += 1 }
            let digits = end - start
            guard digits >= 1, digits <= 3, octet < 4 ? end < text.count : end == text.count,
                digits == 1 || text[start] != UInt8(ascii: "0"),
                let value = Decimal.parse(text.extracting(start..<end)), value <= 255
            else { return nil }
            address = address << 8 | UInt32(truncatingIfNeeded: value)
            start = end + 1
        }
        return address
    }

    /// An IPv6 address (RFC 4291, 2.2) without brackets or zone; nil for anything else.
    public static func ipv6(_ text: Span<UInt8>) -> (high: UInt64, low: UInt64)? {
        var groups: [8 of UInt16] = .init(repeating: 0)
        var count = 0
        var gap: Int?
        var index = 0
        if text.count >= 2, text[0] == colon, text[1] == colon {
            gap = 0
            index = 2
        }
        while index < text.count {
            guard count < 8 else { return nil }
            var end = index
            while end < text.count, text[end] != colon { end += 1 }
            if end == text.count, count <= 6, let last = ipv4(text.extracting(index..<end)) {
                groups[count] = UInt16(truncatingIfNeeded: last >> 16)
                groups[count + 1] = UInt16(truncatingIfNeeded: last)
                count += 2
                break
            }
            guard let group = group(text.extracting(index..<end)) else { return nil }
            groups[count] = group
            count += 1
            if end == text.count { break }
            index = end + 1
            if index == text.count { return nil }
            if text[index] == colon {
                guard gap == nil else { return nil }
                gap = count
                index += 1
            }
        }
        return join(groups, count: count, gap: gap)
    }

    /// An address in the one form of RFC 5952: lower case, the longest run of zero groups as `::`,
    /// addresses mapped from IPv4 with dots.
    public static func describe(high: UInt64, low: UInt64) -> String {
        if high == 0, low >> 32 == 0xffff {
            return "::ffff:" + describe(UInt32(truncatingIfNeeded: low))
        }
        let groups: [UInt64] = (0..<8).map { group in
            (group < 4 ? high : low) >> UInt64(48 - group % 4 * 16) & 0xffff
        }
        let run = longestRunOfZeros(groups)
        let text = { (part: ArraySlice<UInt64>) in
            part.map { String($0, radix: 16) }.joined(separator: ":")
        }
        guard run.count > 1 else { return text(groups[...]) }
        return text(groups[..<run.lowerBound]) + "::" + text(groups[run.upperBound...])
    }

    public static func describe(_ ipv4: UInt32) -> String {
        "\(ipv4 >> 24).\(ipv4 >> 16 & 0xff).\(ipv4 >> 8 & 0xff).\(ipv4 & 0xff)"
    }

    private static let colon = UInt8(ascii: ":")

    /// One to four hexadecimal digits.
    private static func group(_ text: Span<UInt8>) -> UInt16? {
        guard text.count >= 1, text.count <= 4 else { return nil }
        var value: UInt16 = 0
        for index in text.indices {
            guard let digit = hexadecimalDigit(text[index]) else { return nil }
            value = value << 4 | UInt16(digit)
        }
        return value
    }

    /// Eight groups of the `count` that were written, `gap` being where `::` stood among them.
    private static func join(
        _ written: [8 of UInt16], count: Int, gap: Int?
    ) -> (high: UInt64, low: UInt64)? {
        // A `::` stands for one group at least.
        guard gap == nil ? count == 8 : count < 8 else { return nil }
        var halves: (high: UInt64, low: UInt64) = (0, 0)
        for index in 0..<count {
            let place = index < gap ?? count ? index : 8 - count + index
            let bits = UInt64(written[index]) << UInt64(48 - place % 4 * 16)
            if place < 4 { halves.high |= bits } else { halves.low |= bits }
        }
        return halves
    }

    /// The first of the longest runs.
    private static func longestRunOfZeros(_ groups: [UInt64]) -> Range<Int> {
        var longest = 0..<0
        var start = 0
        for index in 0...groups.count where index == groups.count || groups[index] != 0 {
            if index - start > longest.count { longest = start..<index }
            start = index + 1
        }
        return longest
    }
}
