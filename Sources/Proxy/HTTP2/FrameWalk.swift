internal import Wire

/// Goes from frame header to frame header (RFC 9113, 4.1) over the bytes of a connection, however
/// they are cut into reads: nghttp2 says nothing of DATA that it drops. Performs no I/O.
///
/// A peer's error: none, as nghttp2 judges lengths and types.
struct FrameWalk {
    struct Header {
        var length = 0
        var type: UInt8 = 0
        var flags: UInt8 = 0
        var streamID: Int32 = 0
        /// Where it begins in these bytes; 0 where it began before them.
        var start = 0
    }

    private static let headerBytes = 9

    /// Of a frame's payload, or of the preface.
    private var bytesToSkip: Int
    private var partial = InlineArray<9, UInt8>(repeating: 0)
    private var partialCount = 0

    /// - prefaceBytes: what comes before the first frame.
    init(prefaceBytes: Int) { bytesToSkip = prefaceBytes }

    /// The next header that ends in `bytes`, looking from `index` on, which moves behind it.
    @inline(always)
    mutating func next(_ bytes: Span<UInt8>, _ index: inout Int) -> Header? {
        let left = bytes.count &- index
        if bytesToSkip >= left {
            bytesToSkip &-= left
            return nil
        }
        index &+= bytesToSkip
        bytesToSkip = 0
        guard partialCount == 0, bytes.count &- index >= Self.headerBytes else {
            return gather(bytes, &index)
        }
        let start = index
        index &+= Self.headerBytes
        return header(bytes.word(at: start), bytes[start &+ 8], start: start)
    }

    /// A header that is cut.
    private mutating func gather(_ bytes: Span<UInt8>, _ index: inout Int) -> Header? {
        let start = partialCount == 0 ? index : 0
        while partialCount < Self.headerBytes, index < bytes.count {
            partial[partialCount] = bytes[index]
            partialCount += 1
            index += 1
        }
        guard partialCount == Self.headerBytes else { return nil }
        partialCount = 0
        return header(partial.span.word(at: 0), partial[8], start: start)
    }

    @inline(always)
    private mutating func header(_ word: UInt64, _ last: UInt8, start: Int) -> Header {
        let length = Int(truncatingIfNeeded: word &>> 40)
        bytesToSkip = length
        // The first bit of an ID is reserved.
        let high = Int32(truncatingIfNeeded: word & 0x7f_ffff) &<< 8
        return Header(
            length: length, type: UInt8(truncatingIfNeeded: word &>> 32),
            flags: UInt8(truncatingIfNeeded: word &>> 24), streamID: high | Int32(last),
            start: start)
    }
}
