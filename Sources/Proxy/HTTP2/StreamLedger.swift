/// Which streams a client has opened and ended: what nghttp2 has forgotten when a stream is closed,
/// and lets through as if it were late (RFC 9113, 5.1 and 5.1.1). Performs no I/O.
///
/// - A peer's error: HEADERS with an ID that was passed over; HEADERS or DATA on a stream that the
///   client has ended or reset itself, or that was never opened; a PADDED frame without the length
///   of its padding, for which nghttp2 has another code than RFC 9113, 4.2.
/// - Tolerated: what follows Weir's own reset, as the client may have sent it before it knew; and
///   anything about streams before the last 64, of which nothing is remembered.
struct StreamLedger {
    private static let data: UInt8 = 0
    private static let headers: UInt8 = 1
    private static let reset: UInt8 = 3
    private static let endStream: UInt8 = 1
    private static let padded: UInt8 = 8

    /// The highest ID that the client has used.
    private(set) var lastID: Int32 = -1
    /// A bit for each of the last 64 IDs, the lowest bit for the last.
    private var opened: UInt64 = 0
    /// Of those, the ones on which the client has nothing more to say.
    private var ended: UInt64 = 0

    /// The code with which the frame ends the connection, if it does.
    @inline(always)
    mutating func received(_ frame: FrameWalk.Header) -> HTTP2Code? {
        switch frame.type {
        case Self.data, Self.headers:
            if frame.flags & Self.padded != 0, frame.length == 0 { return .frameSizeError }
            return message(
                frame.streamID, isHeaders: frame.type == Self.headers,
                isEnd: frame.flags & Self.endStream != 0)
        case Self.reset:
            if frame.streamID > 0, frame.streamID <= lastID { ended |= bit(of: frame.streamID) }
            return nil
        default: return nil
        }
    }

    /// Even IDs, 0 and IDs that nobody used are left to nghttp2.
    @inline(always)
    private mutating func message(_ streamID: Int32, isHeaders: Bool, isEnd: Bool) -> HTTP2Code? {
        guard streamID & 1 == 1 else { return nil }
        if streamID > lastID {
            if isHeaders { began(streamID, isEnd: isEnd) }
            return nil
        }
        let bit = bit(of: streamID)
        if bit == 0 { return nil }
        if opened & bit == 0 { return isHeaders ? .protocolError : .streamClosed }
        if ended & bit != 0 { return .streamClosed }
        if isEnd { ended |= bit }
        return nil
    }

    @inline(always)
    private mutating func began(_ streamID: Int32, isEnd: Bool) {
        let steps = Int(streamID &- lastID) &>> 1
        lastID = streamID
        opened = opened << steps | 1
        ended = ended << steps | (isEnd ? 1 : 0)
    }

    /// 0 for a stream that is too old.
    @inline(always)
    private func bit(of streamID: Int32) -> UInt64 { 1 << (Int(lastID &- streamID) &>> 1) }
}
