internal import Rules

typealias WorkerTimer = TimerWheel<TimerTarget>.Timer

/// Whose timer it is. All of these outlive their timers: they cancel them when they end.
enum TimerTarget: BitwiseCopyable {
    case exchange(Borrowed<Exchange>)
    case connection(Borrowed<Connection>)
    /// An upstream's endpoints may be connected to again.
    case pool(Borrowed<UpstreamPool>)
    /// The listeners accept again.
    case accepting
    /// An endpoint is to be asked how it is.
    case check(Borrowed<EndpointCheck>)
    /// Whoever watches health may have to be told something.
    case health
    /// What lateness has begun may be over.
    case overload
}

/// What C callbacks note down; processed when nghttp2 has returned.
enum SessionEvent {
    case requestProgressed(Borrowed<Exchange>)
    case responseProgressed(Borrowed<Attempt>)
    case downstreamClosed(Borrowed<Exchange>, code: UInt32)
    case upstreamClosed(Borrowed<Attempt>, code: UInt32)
    /// A call of Weir's own is over, and its owner is to be told.
    case ownCallEnded(Borrowed<Exchange>)
    /// The response's header block did not fit a frame.
    case responseNotSent(Borrowed<Exchange>)
}

/// What a worker lends to its connections: pools, buffers, timers and the lists processed each
/// turn.
final class Workspace {
    /// As much as one write takes. A socket that is full leaves at most this much behind.
    static let outputBytes = 64 << 10
    static let readBytes = 64 << 10

    let system: System
    let blocks = BlockPool()
    let segments = SegmentPool()
    // Two frames more than what one write takes: DATA, and what may come behind it in one call.
    let output = OutputBuffer(capacity: Workspace.outputBytes + 2 * OutputBuffer.frameBytesMax)
    let input = ReadBuffer(capacity: Workspace.readBytes)
    /// What a socket with TLS gave, and what is to be written to one: records. A full output buffer
    /// makes at most eight, each with some 30 bytes around its 16 KiB; the rest is room for
    /// handshakes and alerts.
    let ciphertext = ReadBuffer(capacity: Workspace.readBytes)
    let sealed = OutputBuffer(
        capacity: Workspace.outputBytes + 2 * OutputBuffer.frameBytesMax + (32 << 10))
    let counters = Counters()
    let log: EventLog
    /// Marks what passed here.
    private let ownHop: HopMarker
    // For use without counting, by every request.
    let hop: Borrowed<HopMarker>
    let borrowedBlocks: Borrowed<BlockPool>
    let borrowedSegments: Borrowed<SegmentPool>
    let borrowedCounters: Borrowed<Counters>

    /// The time at which the turn began; one clock read a turn.
    @safe @exclusivity(unchecked) var now: Int64
    // Appended to from callbacks, see Exchange.
    @safe @exclusivity(unchecked) var events: [SessionEvent] = []
    @safe @exclusivity(unchecked) var dirty: [Borrowed<Connection>] = []
    @safe @exclusivity(unchecked) var timers: TimerWheel<TimerTarget>
    @safe @exclusivity(unchecked) private var idleExchanges: [Borrowed<Exchange>] = []
    private var idleAttempts: [Borrowed<Attempt>] = []
    /// Beyond each exchange's first.
    private var attempts: [Attempt] = []
    private(set) var exchangesInUse = 0
    /// How many there have been.
    private(set) var exchangesTaken: UInt64 = 0
    /// Those of them that were for calls of Weir's own.
    var ownCallsBegan: UInt64 = 0
    private var serial: UInt32 = 0
    private var endpointSerial: UInt32 = 0
    private var exchanges: [Exchange] = []
    private(set) lazy var clientCallbacks = SessionCallbacks.client()
    private var serverCallbacks: [(limits: DownstreamLimits, callbacks: SessionCallbacks)] = []

    init(_ system: System, _ log: EventLog) {
        self.system = system
        self.log = log
        ownHop = HopMarker(system.instance)
        hop = Borrowed(ownHop)
        borrowedBlocks = Borrowed(blocks)
        borrowedSegments = Borrowed(segments)
        borrowedCounters = Borrowed(counters)
        now = system.now()
        timers = TimerWheel(now: now)
        events.reserveCapacity(4096)
        dirty.reserveCapacity(1024)
    }

    deinit {
        for exchange in exchanges { exchange.releaseArenas(to: blocks) }
        for attempt in attempts { attempt.arena.releaseAll(to: blocks) }
    }

    /// One set for each set of limits; listeners are few, and so are their reloads.
    func serverCallbacks(for limits: DownstreamLimits) -> SessionCallbacks {
        if let known = serverCallbacks.first(where: { $0.limits == limits }) {
            return known.callbacks
        }
        let callbacks = SessionCallbacks.server(limits)
        serverCallbacks.append((limits, callbacks))
        return callbacks
    }

    /// The next connection's number.
    func nextSerial() -> UInt32 {
        serial &+= 1
        return serial
    }

    /// The next endpoint's number.
    func nextEndpointSerial() -> UInt32 {
        endpointSerial &+= 1
        return endpointSerial
    }

    func takeExchange() -> Borrowed<Exchange> {
        exchangesInUse += 1
        exchangesTaken &+= 1
        if let exchange = idleExchanges.popLast() { return exchange }
        let exchange = Exchange()
        exchanges.append(exchange)
        return Borrowed(exchange)
    }

    /// The series that exchanges and their attempts are counted in.
    var seriesInUse: Set<ObjectIdentifier> {
        var used: Set<ObjectIdentifier> = []
        for exchange in exchanges {
            if let series = exchange.series { used.insert(ObjectIdentifier(series.object)) }
            exchange.forEachAttempt { attempt in
                if let series = attempt.series { used.insert(ObjectIdentifier(series.object)) }
            }
        }
        return used
    }

    /// Another attempt for an exchange.
    func takeAttempt(of exchange: Exchange) -> Borrowed<Attempt> {
        let taken: Borrowed<Attempt>
        if let idle = idleAttempts.popLast() {
            taken = idle
        } else {
            let attempt = Attempt()
            attempts.append(attempt)
            taken = Borrowed(attempt)
        }
        taken.use { $0.belong(to: exchange) }
        return taken
    }

    func give(_ attempt: Attempt) {
        attempt.reset(self)
        idleAttempts.append(Borrowed(attempt))
    }

    func give(_ exchange: Exchange) {
        exchangesInUse -= 1
        timers.cancel(&exchange.timer)
        exchange.reset(self)
        idleExchanges.append(Borrowed(exchange))
    }
}
