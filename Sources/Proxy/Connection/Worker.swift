internal import Configuration
internal import Rules
internal import Synchronization
internal import Wire

/// One thread's share of the proxy: its loop, connections, pools and timers.
///
/// A turn: take all that is ready, feed its bytes to the sessions and process what they noted, look
/// whether more became ready meanwhile (`Gathering`), then flush every connection that has things
/// to say, once. Nothing writes in the middle. Not Sendable: made inside its thread, and reached by
/// its mailbox alone.
public final class Worker {
    public let mailbox: Mailbox
    let workspace: Workspace
    let loads: WorkerLoads
    let index: Int
    /// Where records for the access log go.
    let records: Borrowed<RecordWriter>?
    private let ownRecords: RecordWriter?
    var table: [Slot] = []
    var generation: Generation?
    /// Replaced ones that exchanges still use.
    var oldGenerations: [Generation] = []
    var listeners: [Listener] = []
    /// Those that the last installation or a drain closed.
    var closedListeners: [Listener] = []
    var pools: [UpstreamPool] = []
    var hasRetiredPools = false
    /// Connections of listeners that this worker has not been told of yet.
    var early: [(descriptor: Int32, peer: SocketAddress, socket: ListeningSocket)] = []
    var doomed: [Connection] = []
    /// Clients to be judged by a listener's new terms.
    var toJudge: [PollTag] = []
    private var handshakeQuietUntil: Int64 = .min
    private var handshakesNoted = 0
    static let judgementsPerTurn = 4
    /// Sockets that were not read to their end in this turn.
    var unread: [PollTag] = []
    var isDraining = false
    var isStopped = false
    var drainLimit: Int64 = 0
    /// When the drain's limit passes; `Int64.max` without one.
    var drainEndsAt: Int64 = .max
    var acceptTimer = WorkerTimer.none
    var acceptsPaused = false
    var watches: [Watch] = []
    /// Of the endpoints that this worker checks.
    var checks: [EndpointCheck] = []
    /// Those whose last connections are ending.
    var retiredChecks: [EndpointCheck] = []
    var hasRetiredChecks = false
    var healthTimer = WorkerTimer.none
    public private(set) var isOver = false
    var connectionCount = 0
    var gathering = Gathering()
    var tokens: TokenDesk
    /// Of Weir's own, for servers.
    var attachedTokens = AttachedTokens.none
    var discovered = DiscoveredEndpoints.none
    var overload = WorkerOverload()
    // Looked at in every turn: plain words beside a struct that is counted when it is looked into.
    /// Turns with less lag are of no interest.
    var noteworthyLag: Int64 = .max
    /// Clients wait to be told to go.
    var isShedding = false
    /// Looked at for every request.
    var refusesRequests = false
    /// Those that count, by what they count; see Worker+Series.
    var seriesWriters: [SeriesKey: SeriesWriter] = [:]
    /// Writers of what left the configuration, which exchanges may still use.
    var staleSeries: [SeriesWriter] = []
    var hasStaleSeries = false
    /// By position in the snapshot that was installed last.
    var limiters: [RateLimiter] = []
    /// What access rules decided, by their names.
    var accessCounts: [String: AccessCounts] = [:]
    let latencySteps = LatencyBuckets.steps
    var warningQuietUntil = Int64.min
    var exhaustedQuietUntil = Int64.min
    var quietUntil = [Int64](repeating: .min, count: Limit.allCases.count)

    static let acceptsPerTurn = 64
    static let quietNanoseconds: Int64 = 1_000_000_000
    /// How long accepting rests when the process is out of descriptors.
    static let acceptRestNanoseconds: Int64 = 100_000_000

    struct Slot {
        var generation: UInt32 = 0
        var connection: Connection?
        var listener: Listener?
    }

    /// - index: this worker's place in `loads`. - records: for the access log; this worker alone
    ///   writes to it.
    public init(
        system: System, log: EventLog, loads: WorkerLoads, index: Int, records: RecordRing? = nil
    ) {
        ownRecords = records.map { RecordWriter($0) }
        self.records = ownRecords.map { Borrowed($0) }
        workspace = Workspace(system, log)
        tokens = TokenDesk(system)
        mailbox = Mailbox(waker: system.waker)
        self.loads = loads
        self.index = index
    }

    /// What it counts; readable from any thread.
    public var counters: Counters { workspace.counters }

    // MARK: The turn

    /// Runs until told to stop, or until a drain is complete.
    public func run() { while !isOver { turn() } }

    /// Cuts what is left: sessions give their memory back to the pools they took it from.
    private func end() {
        isOver = true
        stopChecks()
        // Clients' connections first (the list is taken from its end): what is on them ends with
        // Weir, not with a server.
        for slot in table {
            if let connection = slot.connection as? UpstreamConnection { doom(connection) }
        }
        for slot in table { if let connection = slot.connection { doom(connection) } }
        while let connection = doomed.popLast() { tearDown(connection) }
        workspace.dirty.removeAll()
        for (descriptor, _, _) in early { workspace.system.close(descriptor) }
        for message in mailbox.close() {
            if case .adopt(let descriptor, _, _) = message { workspace.system.close(descriptor) }
        }
    }

    /// When `turn` has something to do even if nothing becomes ready; nil is never.
    public var nextDeadline: Int64? {
        if isShedding || !unread.isEmpty || !mailbox.isEmpty || !toJudge.isEmpty {
            return workspace.now
        }
        return workspace.timers.nextDeadline
    }

    /// Waits for something to do, and does it.
    public func turn() {
        let deadline = nextDeadline
        let count = workspace.system.wait(until: deadline)
        workspace.now = workspace.system.now()
        let late = deadline.map { workspace.now &- $0 } ?? 0
        if !mailbox.isEmpty { for message in mailbox.take() { handle(message) } }
        fireTimers()
        let earlier = unread
        unread.removeAll(keepingCapacity: true)
        gathering.turnBegan()
        for tag in earlier { readAgain(tag) }
        for index in 0..<count { became(workspace.system.readiness(at: index)) }
        if !toJudge.isEmpty { judgeSome() }
        if isShedding { shedSome() }
        gather()
        flushAll()
        let took = workspace.system.now() - workspace.now
        workspace.counters.addTurn(took, latencySteps)
        if max(took, late) >= noteworthyLag {
            lagged(max(took, late), at: workspace.now + took)
        }
        if isStopped || isDraining && connectionCount == 0 { end() }
        records?.use { $0.turnEnded() }
    }

    /// Takes what became ready meanwhile into the same flush.
    private func gather() {
        while gathering.wantsLook, !workspace.dirty.isEmpty {
            let count = workspace.system.wait(until: workspace.now)
            gathering.looked(found: count)
            for index in 0..<count { became(workspace.system.readiness(at: index)) }
        }
    }

    private func fireTimers() {
        while let target = workspace.timers.popExpired(now: workspace.now) {
            switch target {
            case .exchange(let exchange): exchange.use(exchangeTimerFired)
            case .connection(let connection): connection.use { $0.timerFired(self) }
            case .pool(let pool): pool.use { $0.reconnectTimerFired(self) }
            case .accepting:
                acceptTimer = .none
                resumeAccepting()
            case .check(let check): check.use { $0.timerFired(self) }
            case .health:
                healthTimer = .none
                lookAtHealth()
            case .overload: overloadTimerFired()
            }
        }
    }

    private func became(_ readiness: System.Readiness) {
        let index = Int(readiness.tag.descriptor)
        guard index >= 0, index < table.count,
            table[index].generation == readiness.tag.generation
        else { return }
        if let listener = table[index].listener { return accept(on: listener) }
        guard let connection = table[index].connection, !connection.isDoomed else { return }
        if readiness.writable, connection.becameWritable(self) == .ended { doom(connection) }
        guard readiness.readable, !connection.isDoomed, !connection.isConnecting else { return }
        read(connection, hungUp: readiness.hungUp)
    }

    private func readAgain(_ tag: PollTag) {
        let slot = table[Int(tag.descriptor)]
        guard slot.generation == tag.generation, let connection = slot.connection,
            !connection.isDoomed
        else { return }
        connection.isUnread = false
        // Whether the peer ended its side was told once; reading to the end finds out again.
        read(connection, hungUp: true)
    }

    private func read(_ connection: Connection, hungUp: Bool) {
        var again = false
        let fate = connection.receive(self, hungUp: hungUp, again: &again)
        if fate == .ended { return doom(connection) }
        if again, !connection.isUnread {
            connection.isUnread = true
            unread.append(connection.tag)
        }
    }

    /// Looks at what the callbacks of the last read or flush noted.
    func process() {
        var index = 0
        while index < workspace.events.count {
            let event = workspace.events[index]
            index += 1
            switch event {
            case .requestProgressed(let exchange): exchange.use { requestProgressed($0) }
            case .responseProgressed(let attempt): attempt.use { responseProgressed($0) }
            case .downstreamClosed(let exchange, let code):
                exchange.use { downstreamClosed($0, code) }
            case .upstreamClosed(let attempt, let code): attempt.use { upstreamClosed($0, code) }
            case .ownCallEnded(let exchange): exchange.use { ownCallEnded($0) }
            case .responseNotSent(let exchange): exchange.use { responseNotSent($0) }
            }
        }
        workspace.events.removeAll(keepingCapacity: true)
    }

    private func flushAll() {
        repeat {
            // What timers and messages noted.
            if !workspace.events.isEmpty { process() }
            var index = 0
            while index < workspace.dirty.count {
                let dirty = workspace.dirty[index]
                index += 1
                dirty.use { if $0.flush(self) == .ended { doom($0) } }
                process()
            }
            workspace.dirty.removeAll(keepingCapacity: true)
            while let connection = doomed.popLast() { tearDown(connection) }
        } while !workspace.dirty.isEmpty || !doomed.isEmpty || !workspace.events.isEmpty
        letGenerationsGo()
    }

    func letGenerationsGo() {
        if hasRetiredChecks { letChecksGo() }
        if !oldGenerations.isEmpty { oldGenerations.removeAll { $0.users == 0 } }
        if oldGenerations.isEmpty {
            pruneSeries()
            if !staleSeries.isEmpty, workspace.exchangesInUse == 0 { staleSeries = [] }
        }
        guard hasRetiredPools, oldGenerations.isEmpty else { return }
        pools.removeAll {
            guard $0.isRetired, !$0.hasConnections, $0.waitingCount == 0 else { return false }
            $0.cancelReconnect(workspace)
            return true
        }
        hasRetiredPools = pools.contains { $0.isRetired }
    }

    // MARK: Connections

    /// Begins to connect; nil where that failed at once.
    func connect(to endpoint: Endpoint, of pool: UpstreamPool) -> UpstreamConnection? {
        var options = System.ConnectOptions()
        options.userTimeoutMilliseconds =
            Int32(clamping: pool.terms.timeouts.tcpUser / 1_000_000)
        workspace.counters.add(.upstreamConnects)
        switch workspace.system.connect(to: endpoint.address, options) {
        case .failed(let errno):
            workspace.counters.add(.upstreamConnectFailures)
            pool.connectFailed(to: endpoint, "no connection could be begun (errno \(errno))", self)
            pool.endpointFailed(self)
            if endpoint.connectionFailed(workspace) <= 1 {
                let place = "upstream=\(pool.name) endpoint=\(endpoint.address)"
                workspace.log.write(.warning, "connect failed \(place) errno=\(errno)")
            }
            return nil
        case .started(let descriptor):
            let tag = newTag(descriptor)
            let connection = UpstreamConnection(tag, endpoint, pool, workspace)
            table[Int(descriptor)].connection = connection
            workspace.system.watch(tag)
            return connection
        }
    }

    /// Counts a limit that no single connection is to blame for; logged at most once a second.
    func exceeded(_ limit: Limit, _ words: @autoclosure () -> String) {
        workspace.counters.add(limit)
        guard workspace.now >= quietUntil[limit.rawValue] else { return }
        quietUntil[limit.rawValue] = workspace.now + Self.quietNanoseconds
        workspace.log.write(.warning, "limit=\(limit.name) \(words())")
    }

    /// A client's handshake failed: ten times a second that is a notice, beyond it is told only to
    /// those who look closely. The counter has them all.
    func noteHandshakeFailure(_ words: @autoclosure () -> String) {
        if workspace.now >= handshakeQuietUntil {
            handshakeQuietUntil = workspace.now + Self.quietNanoseconds
            handshakesNoted = 0
        }
        handshakesNoted += 1
        let level: EventLog.Level = handshakesNoted <= 10 ? .notice : .debug
        workspace.log.write(level, "tls handshake failed \(words())")
    }

    func newTag(_ descriptor: Int32) -> PollTag {
        let index = Int(descriptor)
        while table.count <= index { table.append(Slot()) }
        table[index].generation &+= 1
        return PollTag(descriptor: descriptor, generation: table[index].generation)
    }

    /// Ends a connection after the events of this turn were processed.
    func doom(_ connection: Connection) {
        if connection.isDoomed { return }
        connection.doom()
        doomed.append(connection)
    }

    private func tearDown(_ connection: Connection) {
        connection.end(self)
        workspace.timers.cancel(&connection.timer)
        let index = Int(connection.tag.descriptor)
        table[index].connection = nil
        table[index].generation &+= 1
        workspace.system.close(connection.tag.descriptor)
        if let downstream = connection as? DownstreamConnection {
            connectionCount -= 1
            workspace.counters.add(.connectionsEnded)
            downstream.listener.connections.ended()
            loads.ended(self.index)
        }
    }

    /// A connection has no streams any more and gets none; it may still linger.
    func connectionEnded(_ connection: UpstreamConnection) {
        workspace.counters.add(.upstreamConnectionsEnded)
        connection.pool.use { $0.connectionEnded(connection, self) }
    }

    // MARK: Messages

    private func handle(_ message: Mailbox.Message) {
        switch message {
        case .install(let installation, let report):
            let began = workspace.system.now()
            install(installation)
            let took = workspace.system.now() - began
            report?(InstallReport(revision: installation.snapshot.revision, nanoseconds: took))
        case .adopt(let descriptor, let peer, let socket):
            // Accepted elsewhere just before this worker closed the listener: served all the same.
            let known = (listeners + closedListeners).first {
                $0.connections === socket.connections
            }
            guard let listener = known else {
                // Or before this worker learns of the listener: the next installation will say.
                return early.append((descriptor, peer, socket))
            }
            adopt(descriptor, peer, listener)
        case .keys(let keys): install(keys)
        case .attach(let tokens): attach(tokens)
        case .endpoints(let discovered): take(discovered)
        case .drain(let spread, let limit): drain(spread: spread, limit: limit)
        case .overload(let stage): memoryLooked(stage)
        case .stop: isStopped = true
        case .census(let answer): answer(census)
        case .connections(let limit, let answer): answer(facts(limit: limit))
        case .endpointFacts(let limit, let answer): answer(endpointFacts(limit: limit))
        }
    }

    private func facts(limit: Int) -> [ConnectionFacts] {
        table.lazy.compactMap(\.connection).prefix(limit).map { $0.facts }
    }

    public var census: Census {
        var census = Census()
        census.connections = connectionCount
        census.upstreamConnections = table.count { $0.connection is UpstreamConnection }
        census.exchanges = workspace.exchangesInUse
        census.exchangesBegan = workspace.exchangesTaken - workspace.ownCallsBegan
        census.waiting = pools.reduce(0) { $0 + $1.waitingCount }
        census.timers = workspace.timers.count
        census.generations = oldGenerations.count + (generation == nil ? 0 : 1)
        census.segments = workspace.segments.used
        census.blockBytes = workspace.blocks.usedBytes
        census.counters = workspace.counters.nonZero
        return census
    }
}
