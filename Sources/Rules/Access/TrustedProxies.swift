public import Wire

/// Whose word counts for who the client is: the proxies between it and Weir.
public struct TrustedProxies: Sendable, Equatable {
    private let ranges: [AddressRange]

    public init(_ ranges: [AddressRange]) { self.ranges = ranges }

    public func trusts(_ address: IPAddress) -> Bool {
        for index in ranges.indices where ranges[index].contains(address) { return true }
        return false
    }

    /// The client of a request that comes from a proxy which is trusted: of what the proxies say in
    /// `x-forwarded-for`, each behind what the last one said, the rightmost address that is none of
    /// theirs; the leftmost where all are; the proxy itself where nobody says anything. An entry
    /// that is no address is an unknown client, if it is that one.
    public func client(
        behind proxy: IPAddress, fields: borrowing some RequestFields
    ) -> IPAddress {
        var client = proxy
        var isFirst = true
        fields.forEachValue(of: "x-forwarded-for".utf8.span) { value in
            var start = 0
            while start <= value.count {
                var end = start
                while end < value.count, value[end] != UInt8(ascii: ",") { end &+= 1 }
                let hop = Self.address(value.extracting(start..<end))
                if isFirst || !trusts(hop) { client = hop }
                isFirst = false
                start = end &+ 1
            }
        }
        return client
    }

    /// An address, perhaps with a port or in brackets, blanks around it.
    private static func address(_ entry: Span<UInt8>) -> IPAddress {
        var (start, end) = (0, entry.count)
        while start < end, isBlank(entry[start]) { start &+= 1 }
        while end > start, isBlank(entry[end &- 1]) { end &-= 1 }
        let text = entry.extracting(start..<end)
        if let address = IPAddress(parsing: text) { return address }
        var colon = text.count
        while colon > 0, text[colon &- 1] &- UInt8(ascii: "0") <= 9 { colon &-= 1 }
        var host = 0..<text.count
        if colon > 0, colon < text.count, text[colon &- 1] == UInt8(ascii: ":") {
            host = 0..<(colon &- 1)
        }
        if host.count > 2, text[0] == UInt8(ascii: "["),
            text[host.upperBound &- 1] == UInt8(ascii: "]")
        {
            host = 1..<(host.upperBound &- 1)
        }
        return IPAddress(parsing: text.extracting(host)) ?? .unknown
    }

    private static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }
}
