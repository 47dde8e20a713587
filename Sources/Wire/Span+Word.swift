/// Bytes as numbers, the first as the highest, so that a number's hexadecimal form reads like the
/// text. One load each: put together byte by byte, as the compiler leaves it, a word costs 25
/// instructions. Every load is checked against the span's bounds, and any bytes are an integer.
extension Span<UInt8> {
    /// Eight bytes from `start` on.
    @inlinable @inline(__always)
    public func word(at start: Int) -> UInt64 {
        unsafe UInt64(bigEndian: bytes.unsafeLoadUnaligned(fromByteOffset: start, as: UInt64.self))
    }

    @inlinable @inline(__always)
    func halfWord(at start: Int) -> UInt64 {
        let half = unsafe bytes.unsafeLoadUnaligned(fromByteOffset: start, as: UInt32.self)
        return UInt64(UInt32(bigEndian: half))
    }

    /// All of at most eight bytes as one number, the last as the lowest.
    @inlinable @inline(__always)
    public func shortWord() -> UInt64 {
        switch count {
        case 4...8:
            // Two halves that may overlap: there they agree.
            let high = halfWord(at: 0) &<< UInt64(truncatingIfNeeded: 8 &* (count &- 4))
            return high | halfWord(at: count &- 4)
        case 1...3:
            let middle = count &>> 1
            let first = UInt64(self[0]) &<< UInt64(truncatingIfNeeded: 8 &* (count &- 1))
            let shift = UInt64(truncatingIfNeeded: 8 &* (count &- 1 &- middle))
            return first | UInt64(self[middle]) &<< shift | UInt64(self[count &- 1])
        default:
            return 0
        }
    }

    /// The last `left` bytes, less than eight, as the highest of a number; the others are 0.
    @inlinable @inline(__always)
    public func lastBytes(_ left: Int) -> UInt64 {
        if left == 0 { return 0 }
        let word = count >= 8 ? word(at: count &- 8) : shortWord()
        return word &<< UInt64(truncatingIfNeeded: 64 &- 8 &* left)
    }
}
