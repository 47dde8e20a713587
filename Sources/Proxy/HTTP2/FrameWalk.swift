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
        return header(start: start) { bytes[start &+ $0] }
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
        let whole = partial
        return header(start: start) { whole[$0] }
    }

    @inline(always)
    private mutating func header(start: Int, _ byte: (Int) -> UInt8) -> Header {
        let length = Int(byte(0)) << 16 | Int(byte(1)) << 8 | Int(byte(2))
        bytesToSkip = length
        // The first bit is reserved.
        let high = Int32(byte(5) & 0x7f) << 24 | Int32(byte(6)) << 16
        return Header(
            length: length, type: byte(3), flags: byte(4),
            streamID: high | Int32(byte(7)) << 8 | Int32(byte(8)), start: start)
    }
}
