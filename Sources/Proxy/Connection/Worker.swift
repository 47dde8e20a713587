internal import Configuration
internal import Rules
internal import Synchronization
internal import Wire

/// One thread's share of the proxy: its loop, connections, pools and timers.
///
/// A turn: take all that is ready, feed its bytes to the sessions and process what they noted, then
/// flush every connection that has something to say, once. Nothing writes in the middle. Not
/// Sendable: made inside its thread, and reached from others by its mailbox alone.
public final class Worker {
    public let mailbox: Mailbox
    let workspace: Workspace
    private let loads: WorkerLoads
    private let index: Int
    private var table: [Slot] = []
    private var generation: Generation?
    /// Replaced ones that exchanges still use.
    private var oldGenerations: [Generation] = []
    private var listeners: [Listener] = []
    /// Those that the last installation or a drain closed.
    private var closedListeners: [Listener] = []
    private var pools: [UpstreamPool] = []
    private var hasRetiredPools = false
    /// Connections of listeners that this worker has not been told of yet.
    private var early: [(descriptor: Int32, peer: SocketAddress, socket: ListeningSocket)] = []
    private var doomed: [Connection] = []
    /// Sockets that were not read to their end in this turn.
    private var unread: [PollTag] = []
    private var isDraining = false
    private var isStopped = false
    private var drainLimit: Int64 = 0
    private var acceptTimer = WorkerTimer.none
    private var acceptsPaused = false
    public private(set) var isOver = false
    private(set) var connectionCount = 0
    private var quietUntil = [Int64](repeating: .min, count: Limit.allCases.count)

    private static let acceptsPerTurn = 64
    private static let quietNanoseconds: Int64 = 1_000_000_000
    /// How long accepting rests when the process is out of descriptors.
    private static let acceptRestNanoseconds: Int64 = 100_000_000

    private struct Slot {
        var generation: UInt32 = 0
        var connection: Connection?
        var listener: Listener?
    }

    /// - index: this worker's place in `loads`.
    public init(system: System, log: EventLog, loads: WorkerLoads, index: Int) {
        workspace = Workspace(system, log)
        mailbox = Mailbox(waker: system.waker)
        self.loads = loads
        self.index = index
    }

    // MARK: The turn

    /// Runs until told to stop, or until a drain is complete.
    public func run() { while !isOver { turn() } }

    /// Cuts what is left: sessions give their memory back to the pools they took it from.
    private func end() {
        isOver = true
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
        if !unread.isEmpty || !mailbox.isEmpty { return workspace.now }
        return workspace.timers.nextDeadline
    }

    /// Waits for something to do, and does it.
    public func turn() {
        let count = workspace.system.wait(until: nextDeadline)
        workspace.now = workspace.system.now()
        if !mailbox.isEmpty { for message in mailbox.take() { handle(message) } }
        fireTimers()
        let earlier = unread
        unread.removeAll(keepingCapacity: true)
        for tag in earlier { readAgain(tag) }
        for index in 0..<count { became(workspace.system.readiness(at: index)) }
        flushAll()
        if isStopped || isDraining && connectionCount == 0 { end() }
    }

    private func fireTimers() {
        while let target = workspace.timers.popExpired(now: workspace.now) {
            switch target {
            case .exchange(let exchange): exchange.use(exchangeTimerFired)
            case .connection(let connection): connection.use { $0.timerFired(self) }
            case .pool(let pool): pool.use { $0.retryTimerFired(self) }
            case .accepting:
                acceptTimer = .none
                resumeAccepting()
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
            case .requestProgressed(let exchange): exchange.use(requestProgressed)
            case .responseProgressed(let attempt): attempt.use(responseProgressed)
            case .downstreamClosed(let exchange, let code):
                exchange.use { downstreamClosed($0, code) }
            case .upstreamClosed(let attempt, let code): attempt.use { upstreamClosed($0, code) }
            case .responseNotSent(let exchange): exchange.use(responseNotSent)
            }
        }
        workspace.events.removeAll(keepingCapacity: true)
    }

    private func flushAll() {
        repeat {
            var index = 0
            while index < workspace.dirty.count {
                let dirty = workspace.dirty[index]
                index += 1
                dirty.use { if $0.flush(self) == .ended { doom($0) } }
                process()
            }
            workspace.dirty.removeAll(keepingCapacity: true)
            while let connection = doomed.popLast() { tearDown(connection) }
        } while !workspace.dirty.isEmpty || !doomed.isEmpty
        letGenerationsGo()
    }

    private func letGenerationsGo() {
        if !oldGenerations.isEmpty { oldGenerations.removeAll { $0.users == 0 } }
        guard hasRetiredPools, oldGenerations.isEmpty else { return }
        pools.removeAll {
            guard $0.isRetired, !$0.hasConnections, $0.waitingCount == 0 else { return false }
            $0.cancelRetry(workspace)
            return true
        }
        hasRetiredPools = pools.contains { $0.isRetired }
    }

    // MARK: Connections

    /// - locally: keeps them all, where other workers may have stopped already.
    private func accept(on listener: Listener, locally: Bool = false) {
        guard let socket = listener.socket else { return }
        for _ in 0..<Self.acceptsPerTurn {
            switch workspace.system.accept(socket.descriptor) {
            case .nothingYet: return
            case .exhausted: return pauseAccepting()
            case .connection(let descriptor, let peer):
                let target = locally ? loads.take(index) : loads.leastLoaded(preferring: index)
                if target == index {
                    adopt(descriptor, peer, listener)
                } else {
                    let message = Mailbox.Message.adopt(
                        descriptor: descriptor, peer: peer, socket: socket)
                    if !loads.post(message, to: target) { workspace.system.close(descriptor) }
                }
            }
        }
    }

    /// The process is out of descriptors: a listener that stays ready would make the loop spin.
    private func pauseAccepting() {
        workspace.counters.add(.acceptExhausted)
        if acceptsPaused { return }
        acceptsPaused = true
        for listener in listeners { workspace.system.unwatch(listener.tag.descriptor) }
        let at = workspace.now + Self.acceptRestNanoseconds
        acceptTimer = workspace.timers.schedule(.accepting, at: at)
        workspace.log.write(.error, "out of descriptors: accepting rests for 100 ms")
    }

    private func resumeAccepting() {
        guard acceptsPaused else { return }
        acceptsPaused = false
        for listener in listeners { workspace.system.watchListener(listener.tag) }
    }

    private func adopt(_ descriptor: Int32, _ peer: SocketAddress, _ listener: Listener) {
        guard listener.connections.value < listener.terms.limits.connections else {
            exceeded(.connections, "listener=\(listener.terms.name)")
            workspace.system.close(descriptor)
            return loads.ended(index)
        }
        workspace.counters.add(.connectionsAccepted)
        listener.connections.began()
        let tag = newTag(descriptor)
        let connection = DownstreamConnection(tag, peer, listener, workspace)
        table[Int(descriptor)].connection = connection
        connectionCount += 1
        workspace.system.watch(tag)
        connection.markDirty(workspace)
        if isDraining {
            connection.beginDrain(spread: 0, limit: drainLimit, self)
        } else if listener.socket == nil {
            connection.beginDrain(spread: 0, limit: listener.terms.timeouts.drain, self)
        }
    }

    /// Begins to connect; nil where that failed at once.
    func connect(to endpoint: Endpoint, of pool: UpstreamPool) -> UpstreamConnection? {
        var options = System.ConnectOptions()
        options.userTimeoutMilliseconds =
            Int32(clamping: pool.terms.timeouts.tcpUser / 1_000_000)
        workspace.counters.add(.upstreamConnects)
        switch workspace.system.connect(to: endpoint.address, options) {
        case .failed(let errno):
            workspace.counters.add(.upstreamConnectFailures)
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

    private func newTag(_ descriptor: Int32) -> PollTag {
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
        case .drain(let spread, let limit): drain(spread: spread, limit: limit)
        case .stop: isStopped = true
        case .census(let answer): answer(census)
        }
    }

    public var census: Census {
        var census = Census()
        census.connections = connectionCount
        census.upstreamConnections = table.count { $0.connection is UpstreamConnection }
        census.exchanges = workspace.exchangesInUse
        census.waiting = pools.reduce(0) { $0 + $1.waitingCount }
        census.timers = workspace.timers.count
        census.generations = oldGenerations.count + (generation == nil ? 0 : 1)
        census.segments = workspace.segments.used
        census.blockBytes = workspace.blocks.usedBytes
        census.counters = workspace.counters.nonZero
        return census
    }

    // MARK: Configuration

    private func install(_ installation: Installation) {
        workspace.counters.add(.installations)
        let snapshot = installation.snapshot
        var known = Dictionary(pools.map { ($0.name, $0) }) { first, _ in first }
        let updated = zip(snapshot.upstreams, installation.counts).map { terms, counts in
            guard let pool = known.removeValue(forKey: terms.name) else {
                return UpstreamPool(terms, counts)
            }
            pool.update(terms, self)
            return pool
        }
        // In their own order, not the dictionary's: a simulated run must be the same every time.
        let removed = pools.filter { known[$0.name] != nil }
        for pool in removed where !pool.isRetired { pool.retire(self) }
        pools = updated + removed
        hasRetiredPools = pools.contains { $0.isRetired }
        if let generation { oldGenerations.append(generation) }
        let next = Generation(snapshot, updated)
        generation = next
        installListeners(installation, next)
    }

    private func installListeners(_ installation: Installation, _ generation: Generation) {
        closedListeners = []
        var serving: [Listener] = []
        for (terms, socket) in zip(installation.snapshot.listeners, installation.sockets) {
            if let listener = listeners.first(where: { $0.socket === socket }) {
                listener.update(terms, generation)
                serving.append(listener)
            } else {
                serving.append(open(socket, terms, generation))
            }
        }
        for listener in listeners where !serving.contains(where: { $0 === listener }) {
            retire(listener)
        }
        listeners = serving
        adoptEarly()
    }

    private func adoptEarly() {
        for (descriptor, peer, socket) in early {
            if let listener = listeners.first(where: { $0.connections === socket.connections }) {
                adopt(descriptor, peer, listener)
            } else {
                workspace.system.close(descriptor)
                loads.ended(index)
            }
        }
        early = []
    }

    private func open(
        _ socket: ListeningSocket, _ terms: ListenerTerms, _ generation: Generation
    ) -> Listener {
        let tag = newTag(socket.descriptor)
        let listener = Listener(socket, tag, terms, generation)
        table[Int(socket.descriptor)].listener = listener
        if !isDraining, !acceptsPaused { workspace.system.watchListener(tag) }
        return listener
    }

    /// Stops accepting; its connections are asked to go.
    private func retire(_ listener: Listener) {
        close(listener)
        for slot in table {
            guard let connection = slot.connection as? DownstreamConnection,
                connection.listener === listener
            else { continue }
            let limit = listener.terms.timeouts.drain
            connection.beginDrain(spread: limit / 10, limit: limit, self)
        }
    }

    private func close(_ listener: Listener) {
        // What the kernel has accepted already would be reset with the socket.
        if !acceptsPaused {
            accept(on: listener, locally: true)
            workspace.system.unwatch(listener.tag.descriptor)
        }
        let index = Int(listener.tag.descriptor)
        table[index].listener = nil
        table[index].generation &+= 1
        listener.stopListening()
        closedListeners.append(listener)
    }

    private func drain(spread: Int64, limit: Int64) {
        if isDraining { return }
        isDraining = true
        drainLimit = limit
        for listener in listeners { close(listener) }
        listeners = []
        for slot in table {
            guard let connection = slot.connection as? DownstreamConnection else { continue }
            connection.beginDrain(spread: spread, limit: limit, self)
        }
    }
}

/// How many connections each worker has: an accepted one goes to the worker with the fewest, as
/// gRPC's few and long-lived connections spread badly by hash.
public final class WorkerLoads: Sendable {
    private final class Load: Sendable {
        let connections = Atomic<Int>(0)
        let mailbox = Mutex<Mailbox?>(nil)
    }

    private let loads: [Load]

    public init(workers: Int) { loads = (0..<max(workers, 1)).map { _ in Load() } }

    public func join(_ mailbox: Mailbox, at index: Int) {
        loads[index].mailbox.withLock { $0 = mailbox }
    }

    /// The worker with the fewest, itself where it is one of them; counts the connection there.
    func leastLoaded(preferring index: Int) -> Int {
        var best = index
        var fewest = loads[index].connections.load(ordering: .relaxed)
        for other in loads.indices {
            let count = loads[other].connections.load(ordering: .relaxed)
            if count < fewest {
                best = other
                fewest = count
            }
        }
        loads[best].connections.add(1, ordering: .relaxed)
        return best
    }

    /// Counts a connection at a worker.
    func take(_ index: Int) -> Int {
        loads[index].connections.add(1, ordering: .relaxed)
        return index
    }

    /// False where that worker has ended.
    func post(_ message: Mailbox.Message, to index: Int) -> Bool {
        loads[index].mailbox.withLock { $0 }?.post(message) ?? false
    }

    func ended(_ index: Int) { loads[index].connections.subtract(1, ordering: .relaxed) }
}
