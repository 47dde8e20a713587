internal import Wire

/// One direction of an exchange: what arrived of it, and is still to be passed on or may have to be
/// passed on again.
struct Message: ~Copyable {
    var headers = HeaderBlock()
    var trailers = HeaderBlock()
    var body = BodyQueue()
    var flow = MessageFlow()
    var check = MessageCheck()
    /// Header bytes of the block that arrives, counted as RFC 9113, 6.5.2 does.
    var listBytes = 0
    var receivedBytes: Int64 = 0
    /// When the last bytes came, and since when some wait to be passed on.
    private(set) var receivedAt: Int64 = 0
    private(set) var waitingSince: Int64 = 0
    private var window = StreamWindow()
    /// Bytes that were passed on, each counted once.
    private(set) var passed: Int64 = 0

    /// True where bytes came that were not passed on yet.
    var hasUnpassed: Bool { passed != body.total }

    /// Whether the body may go on with so many bytes, and has not before.
    @inline(always)
    mutating func admits(_ byteCount: Int) -> Bool {
        check.fault == nil && check.bodyReceived(receivedBytes &+ Int64(byteCount))
    }

    /// Whether the body may end here.
    var isWholeBody: Bool {
        mutating get { check.fault == nil && check.ended(receivedBytes) }
    }

    @inline(always)
    mutating func bodyReceived(_ bytes: RawSpan, _ pool: SegmentPool, now: Int64) {
        receivedBytes &+= Int64(bytes.byteCount)
        receivedAt = now
        if !hasUnpassed { waitingSince = now }
        if flow.isDiscarding { return }
        body.append(bytes, from: pool)
    }

    /// Of Weir's own, and passed on like a peer's.
    mutating func append(own bytes: [UInt8], _ pool: SegmentPool, now: Int64) {
        if !hasUnpassed { waitingSince = now }
        body.append(bytes, from: pool)
    }

    /// All that another has received, which is whole.
    mutating func append(copyOf other: borrowing Message, _ pool: SegmentPool, now: Int64) {
        if !hasUnpassed { waitingSince = now }
        body.append(copyOf: other.body, from: pool)
    }

    /// The stream's credit that is due after bytes were passed on, if any.
    @inline(always)
    mutating func bytesPassed(_ byteCount: Int, _ windows: HTTP2Session.Windows) -> StreamCredit? {
        passed &+= Int64(byteCount)
        let isDrained = passed == body.total
        let credit = window.bytesPassed(byteCount, isDrained: isDrained, windows)
        return flow.isEnded ? nil : credit
    }

    mutating func discard(returning pool: SegmentPool) {
        flow.discard()
        body.removeAll(returning: pool)
        passed = body.total
    }

    mutating func reset(returning pool: SegmentPool) {
        headers = HeaderBlock()
        trailers = HeaderBlock()
        body.reset(returning: pool)
        flow = MessageFlow()
        check = MessageCheck()
        listBytes = 0
        receivedBytes = 0
        receivedAt = 0
        waitingSince = 0
        window = StreamWindow()
        passed = 0
    }
}

/// What a stream's source is to be told: bytes consumed, and a larger window (0: as it is).
struct StreamCredit: Equatable {
    var byteCount: Int
    var window: Int32
}

/// A stream's receive window: credited in portions that matter, grown while its receiver keeps up.
///
/// Small at first, so that thousands of stalled streams cost little; doubled whenever two windows'
/// worth has passed and the queue was found empty, which a receiver that stalls never achieves. (A
/// client that stops with the protocol's default window of 64 KiB stays at the 32 KiB it began
/// with.)
struct StreamWindow {
    private var size: Int32 = 0
    private var unreported = 0
    private var passedSinceGrowth = 0

    @inline(always)
    mutating func bytesPassed(
        _ byteCount: Int, isDrained: Bool, _ windows: HTTP2Session.Windows
    ) -> StreamCredit? {
        if size == 0 { size = windows.stream }
        unreported &+= byteCount
        passedSinceGrowth &+= byteCount
        guard unreported >= Int(size) / 4 else { return nil }
        var credit = StreamCredit(byteCount: unreported, window: 0)
        unreported = 0
        if isDrained, size < windows.streamMax, passedSinceGrowth > 2 &* Int(size) {
            size = min(windows.streamMax, size * 2)
            passedSinceGrowth = 0
            credit.window = size
        }
        return credit
    }
}
