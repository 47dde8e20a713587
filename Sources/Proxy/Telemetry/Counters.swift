public import Rules

/// What a worker counts. The worker alone writes; whoever wants to know reads, at any time.
public final class Counters: Sendable {
    public enum Event: Int, CaseIterable, Sendable {
        case connectionsAccepted, connectionsEnded, requests, responses, localAnswers
        case upstreamConnects, upstreamConnectFailures, upstreamConnectionsEnded
        /// So few endpoints of an upstream became available that all were used again.
        case upstreamPanics
        case clientResets, upstreamResets, deadlinesExceeded, accessDenied
        /// Attempts beyond an exchange's first: by its route's policy, free, and beside others.
        case retries, transparentRetries, hedges
        case hedgesDropped, triesTimedOut
        /// Health checks that endpoints passed or not, and what they told by themselves.
        case healthChecksPassed, healthChecksFailed
        case installations, acceptExhausted
        case tokensVerified, tokensRefused, tokensThrottled
        case tlsHandshakes, tlsHandshakeFailures, identitiesEnded
        case upstreamHandshakes, upstreamHandshakeFailures, upstreamHandshakesResumed
        /// Connections of clients that speak something else.
        case http1Clients, tlsClients
        /// Connections whose peers broke HTTP/2's rules.
        case clientErrors, serverErrors
        /// Connections that are not a proxy's, or do not begin with its header, where that is due.
        case proxySendersRefused, proxyHeadersRefused
        /// Requests refused, and idle clients told to go, as there was too much to do.
        case overloadRefusals, overloadDepartures
        /// Of routes' own.
        case faultDelays, faultAborts

        public var name: String { "\(self)" }
    }

    private let events = CounterBlock(count: Event.allCases.count)
    private let limits = CounterBlock(count: Limit.allCases.count)
    private let reasons = CounterBlock(count: ExchangeEnd.Reason.allCases.count)
    private let notRetried = CounterBlock(count: NotRetried.allCases.count)
    private let resets = CounterBlock(count: Counters.resetSides.count * Counters.resetCodes)
    /// How long turns took: a count for each bucket, then the sum in nanoseconds.
    public let turns = CounterBlock(count: LatencyBuckets.count + 1)
    /// The stage that the worker's lag calls for.
    public let overload = CounterBlock(count: 1)
    /// What requests and attempts became, by what the configuration names.
    public let series = SeriesRegistry()
    /// What access rules decided.
    public let access = AccessRegistry()
    /// What rate limits did.
    public let rateLimits = RateLimitRegistry()

    /// HTTP/2's error codes, and one for all others.
    private static let resetCodes = 15
    private static let resetSides: [ExchangeEnd.Side] = [.client, .upstream, .weir]

    // MARK: Counting

    @inline(always)
    func requestBegan() { add(.requests) }

    @inline(always)
    func responseBegan() { add(.responses) }

    @inline(always)
    func add(_ event: Event) { events.add(1, at: event.rawValue) }

    func add(_ limit: Limit) { limits.add(1, at: limit.rawValue) }

    /// An exchange ended.
    @inline(always)
    func add(_ end: borrowing ExchangeEnd) {
        reasons.add(1, at: Int(end.reason.rawValue))
        if end.reset.frame != .none { add(end.reset) }
    }

    /// An attempt that failed was the last.
    func add(_ reason: NotRetried) { notRetried.add(1, at: Int(reason.rawValue)) }

    private func add(_ reset: ExchangeEnd.Reset) {
        guard let side = Self.resetSides.firstIndex(of: reset.by) else { return }
        let code = min(Int(reset.code), Self.resetCodes - 1)
        resets.add(1, at: side * Self.resetCodes + code)
    }

    /// A turn took so long, in nanoseconds.
    @inline(always)
    func addTurn(_ nanoseconds: Int64, _ bounds: [Int64]) {
        turns.add(1, at: LatencyBuckets.position(nanoseconds, in: bounds))
        turns.add(UInt64(clamping: nanoseconds), at: LatencyBuckets.count)
    }

    // MARK: Reading

    public func value(_ event: Event) -> UInt64 { events[event.rawValue] }
    public func value(_ limit: Limit) -> UInt64 { limits[limit.rawValue] }

    public var overloadStage: OverloadStage {
        OverloadStage(rawValue: UInt8(truncatingIfNeeded: overload[0])) ?? .none
    }

    /// How often the worker has turned.
    public var turnCount: UInt64 { (0..<LatencyBuckets.count).reduce(0) { $0 &+ turns[$1] } }

    /// How exchanges ended, by the words that the access log has for it.
    public var endings: [(reason: String, count: UInt64)] {
        ExchangeEnd.Reason.allCases.map { ("\($0.name)", reasons[Int($0.rawValue)]) }
    }

    /// Why attempts that failed were not followed by another.
    public var unretried: [(reason: String, count: UInt64)] {
        NotRetried.allCases.filter { $0 != .none }.map {
            ("\($0.name)", notRetried[Int($0.rawValue)])
        }
    }

    /// Streams that were reset before their end: by whom, and with which code.
    public var streamResets: [(by: String, code: String, count: UInt64)] {
        Self.resetSides.indices.flatMap { side in
            (0..<Self.resetCodes).map { code in
                let name = HTTP2Code(rawValue: UInt32(code)).map { "\($0.name)" } ?? "other"
                let count = resets[side * Self.resetCodes + code]
                return ("\(Self.resetSides[side].name)", name, count)
            }
        }
    }

    /// Those that are not 0, by name.
    public var nonZero: [(name: String, count: UInt64)] {
        let events = Event.allCases.map { ($0.name, value($0)) }
        let limits = Limit.allCases.map { ("limit.\($0.name)", value($0)) }
        return (events + limits).filter { $0.1 > 0 }
    }
}
