extension IPAddress {
    /// As two numbers, the same for the same address; nil where there is none.
    public var words: (high: UInt64, low: UInt64)? {
        switch family {
        case .none, .unix: nil
        case .ipv4: (0, 0xffff << 32 | low)
        case .ipv6: (high, low)
        }
    }
}
