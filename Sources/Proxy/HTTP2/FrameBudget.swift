internal import Rules

/// Counts what a peer sends that costs it little and Weir much. Performs no I/O.
///
/// One per session. Every method says which limit tripped, if any; the connection then ends with
/// GOAWAY(ENHANCE_YOUR_CALM). Windows are fixed spans of 10 s, not sliding ones: a peer may spend
/// two allowances around a boundary, which is what a limit's default allows for.
struct FrameBudget {
    /// What may be spent; a listener's and an upstream's limits have the same names here.
    struct Terms {
        var pings: Int
        var settings: Int
        var emptyData: Int
        var quietFrames: Int
        /// 0: not counted by age and outcome (upstreams).
        var earlyResets: Int
        /// 0: not counted (nghttp2 does it for clients).
        var resets: Int
    }

    private static let spanNanoseconds: Int64 = 10_000_000_000
    /// WINDOW_UPDATEs that an honest peer sends for a DATA frame: one for stream and connection.
    private static let creditPerDataFrame = 2

    private let terms: Terms
    private var spanEnd: Int64 = 0
    private var pingsSpent = 0
    private var settingsSeen = 0
    private var emptyDataRun = 0
    private var quietFrames = 0
    private var streamsOpened = 0
    private var streamsResetEarly = 0
    private var resetsSeen = 0

    init(_ terms: Terms) { self.terms = terms }

    // MARK: What the peer sent

    /// Any frame but HEADERS and DATA with bytes.
    mutating func quietFrameReceived(now: Int64) -> Limit? {
        startSpan(now)
        quietFrames &+= 1
        return quietFrames > terms.quietFrames ? .quietFrames : nil
    }

    mutating func settingsReceived(now: Int64) -> Limit? {
        startSpan(now)
        settingsSeen += 1
        return settingsSeen > terms.settings ? .settings : nil
    }

    mutating func pingReceived() -> Limit? {
        pingsSpent += 1
        return pingsSpent > terms.pings ? .pings : nil
    }

    /// `isEmpty`: neither bytes nor END_STREAM.
    mutating func dataReceived(isEmpty: Bool) -> Limit? {
        guard isEmpty else {
            emptyDataRun = 0
            return nil
        }
        emptyDataRun += 1
        return emptyDataRun > terms.emptyData ? .emptyData : nil
    }

    /// A request (of a client) or a response (of a server) began.
    mutating func streamBegan(now: Int64) {
        startSpan(now)
        quietFrames = 0
        streamsOpened &+= 1
    }

    /// A stream ended by a reset, of the peer's or of ours for its fault.
    mutating func streamReset(isEarly: Bool, now: Int64) -> Limit? {
        startSpan(now)
        resetsSeen &+= 1
        if isEarly { streamsResetEarly &+= 1 }
        if terms.resets > 0, resetsSeen > terms.resets { return .resets }
        guard terms.earlyResets > 0, streamsOpened > terms.earlyResets,
            streamsResetEarly > streamsOpened / 2
        else { return nil }
        return .earlyResets
    }

    // MARK: What we sent

    @inline(always)
    mutating func headersSent() { if pingsSpent > 0 { pingsSpent &-= 1 } }

    @inline(always)
    mutating func dataSent() {
        if pingsSpent > 0 { pingsSpent &-= 1 }
        quietFrames = max(0, quietFrames &- Self.creditPerDataFrame)
    }

    private mutating func startSpan(_ now: Int64) {
        guard now >= spanEnd else { return }
        spanEnd = now &+ Self.spanNanoseconds
        settingsSeen = 0
        quietFrames = 0
        streamsOpened = 0
        streamsResetEarly = 0
        resetsSeen = 0
    }
}

extension FrameBudget.Terms {
    init(_ limits: DownstreamLimits) {
        self.init(
            pings: limits.pings, settings: limits.settings, emptyData: limits.emptyData,
            quietFrames: limits.framesWithoutRequest, earlyResets: limits.earlyResets, resets: 0)
    }

    init(_ limits: UpstreamLimits) {
        self.init(
            pings: limits.pings, settings: limits.settings, emptyData: limits.emptyData,
            quietFrames: limits.framesWithoutResponse, earlyResets: 0, resets: limits.resets)
    }
}
