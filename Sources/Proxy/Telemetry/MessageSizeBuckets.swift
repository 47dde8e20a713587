/// Upper bounds of message size histograms, those that gRFC A66 gives, in bytes.
public enum MessageSizeBuckets {
    public static let bounds: [UInt64] = [
        0, 1 << 10, 2 << 10, 4 << 10, 16 << 10, 64 << 10, 256 << 10, 1 << 20, 4 << 20, 16 << 20,
        64 << 20, 256 << 20, 1 << 30, 4 << 30,
    ]

    /// One for each bound, and one for what is above all of them.
    public static let count = 15

    /// The position of the first bound that is not below `bytes`. All but the first are powers of
    /// two, and from the fourth on of four, so that nothing has to be searched.
    @inline(always)
    static func position(_ bytes: UInt64) -> Int {
        if bytes == 0 { return 0 }
        // The exponent of the first power of two that is not below it.
        let exponent = 64 &- (bytes &- 1).leadingZeroBitCount
        if exponent <= 12 { return max(exponent &- 9, 1) }
        return min((exponent &- 5) >> 1, count &- 1)
    }
}
