internal import Configuration
internal import Rules
internal import Synchronization
internal import Wire

/// An upstream as one worker knows it: its endpoints, their connections, and who waits for them.
/// Survives reloads by its name.
///
/// A request goes to the endpoint that `Balancer` chooses, or to the next with a connection that
/// has room; endpoints without one are connected to on the way. Where none has room it waits, first
/// come first served, for whichever connection has room first.
final class UpstreamPool {
    /// Where an attempt may go.
    enum Placement {
        case ready(Borrowed<UpstreamConnection>)
        case wait
        case refused(ProxyError)
    }

    let name: String
    /// The same, where it is not too long.
    let shortName: ShortName
    private(set) var terms: UpstreamTerms
    /// Nil for cleartext.
    private(set) var tls: ClientTLS?
    /// The token of Weir's own that requests carry, and the newest of it, if there was any.
    private var attached: AttachedToken? { didSet { attachesToken = attached != nil } }
    /// Kept beside it: comparing an optional of its kind with nil costs 250 instructions.
    private(set) var attachesToken = false
    private(set) var token: AttachedTokens.Entry?
    private let counts: UpstreamCounts
    private(set) var endpoints: [Endpoint] = []
    // Looked at for every request, see Exchange: without counting.
    @safe @exclusivity(unchecked) var balancer: Balancer
    /// Those that simply take turns; empty where there is more to a choice than that.
    @safe @exclusivity(unchecked) var turns: [Borrowed<Endpoint>] = []
    @safe @exclusivity(unchecked) var picking = Picking()
    /// When the log may be told again that few endpoints are available.
    private var panicQuietUntil = Int64.min
    // Asked at every call's end, see Exchange.
    @safe @exclusivity(unchecked) var watch: EndpointWatch
    /// What its source gave last; nil where it has none, or where that gave nothing yet.
    private(set) var list: EndpointList?
    /// It is there for the checks of one endpoint alone.
    var check: Borrowed<EndpointCheck>?
    /// Endpoints that left the configuration and still have connections.
    private var retiredEndpoints: [Endpoint] = []
    private var firstWaiting: Borrowed<Attempt>?
    private var lastWaiting: Borrowed<Attempt>?
    private(set) var waitingCount = 0
    /// Requests that servers work on, of this worker's.
    private(set) var inFlight = 0
    private var reconnectTimer = WorkerTimer.none
    private var retries = RetryWindow()
    private(set) var isRetired = false
    private var adaptive: AdaptiveConcurrency?
    /// What calls to it are counted in; nil until the first has ended.
    @safe @exclusivity(unchecked) var series: Borrowed<SeriesWriter>?

    init(
        _ terms: UpstreamTerms, _ tls: ClientTLS?, _ counts: UpstreamCounts, _ workspace: Workspace
    ) {
        name = terms.name
        self.tls = tls
        shortName = ShortName(terms.name)
        self.terms = terms
        self.counts = counts
        watch = EndpointWatch(counts.health, terms.conduct.ejection)
        endpoints = counts.subset(of: terms.endpoints, terms.balance).map {
            Endpoint(
                $0, id: workspace.nextEndpointSerial(), counts.health.record(of: $0.address),
                terms.timeouts)
        }
        balancer = Balancer(terms.balance, draw: workspace.system.random())
        balancer.look(at: endpoints, now: workspace.now)
        takeTurns()
    }

    /// What every request needs to know of the balancer, and no more: it is large, and its parts
    /// are counted when it is looked into.
    struct Picking: BitwiseCopyable {
        /// Requests go where they belong.
        var isByHash = false
        /// What attempts took is to be known.
        var measuresLatency = false
        /// Whose turn it is.
        var next = 0
    }

    private func takeTurns() {
        turns = balancer.takesTurns ? balancer.home.candidates : []
        picking.isByHash = balancer.terms.isByHash
        picking.measuresLatency = balancer.terms.algorithm == .peakEWMA
        if picking.next >= turns.count { picking.next = 0 }
    }

    @inline(always)
    var isByHash: Bool { picking.isByHash }

    @inline(always)
    var measuresLatency: Bool { picking.measuresLatency }

    var addresses: [SocketAddress] { endpoints.map(\.address) }

    /// Of copies of others' requests.
    var mirrored: MirrorCounts { counts.mirrored }

    var hasConnections: Bool {
        (endpoints + retiredEndpoints).contains { !$0.connections.isEmpty }
    }

    /// Whether a server can be reached, as far as is known: one that is neither unhealthy nor
    /// ejected is connected to, or the last try did not fail. Endpoints that failed are tried again
    /// on the way, when their time has come.
    func isReachable(_ worker: Worker) -> Bool {
        if isRetired { return false }
        for endpoint in endpoints where endpoint.hasFailed && endpoint.needsConnection {
            connect(to: endpoint, worker)
        }
        return endpoints.contains { $0.isAvailable && ($0.established > 0 || !$0.hasFailed) }
    }

    func forgetSeries() {
        series = nil
        for endpoint in endpoints + retiredEndpoints { endpoint.series = nil }
    }

    // MARK: Tokens

    /// The last one stays where there is no newer; one for another audience, or in another name,
    /// does not: new servers have no business with it.
    func attach(_ tokens: AttachedTokens) {
        if attached != terms.proof.token {
            attached = terms.proof.token
            token = nil
        }
        if let attached, let entry = tokens.entry(of: attached) { token = entry }
    }

    /// False where requests would have to go without the token that servers expect.
    func hasToken(at unixTime: Int64) -> Bool { token.map { unixTime < $0.expiresAt } ?? false }

    // MARK: Placing attempts

    func place(_ attempt: Attempt, _ worker: Worker) -> Placement {
        let requests =
            counts.requests.load(ordering: .relaxed) &+ counts.pending.load(ordering: .relaxed)
        guard requests < terms.limits.requests else {
            worker.exceeded(.upstreamRequests, "upstream=\(name)")
            return .refused(.overLimit(.upstreamRequests))
        }
        if terms.conduct.adaptive != nil,
            !adaptive(worker).allows(besides: inFlight &+ waitingCount)
        {
            worker.exceeded(.upstreamAdaptive, "upstream=\(name)")
            return .refused(.overLimit(.upstreamAdaptive))
        }
        if firstWaiting == nil || isByHash, let connection = pick(attempt, worker) {
            return .ready(connection)
        }
        guard isAnyAwaitedOrFull(worker) || awaitsEndpoints(attempt, worker) else {
            if let connection = lastResort() { return .ready(connection) }
            return .refused(unreachable(attempt))
        }
        guard counts.pending.load(ordering: .relaxed) < terms.limits.pending else {
            worker.exceeded(.upstreamPending, "upstream=\(name)")
            return .refused(.overLimit(.upstreamPending))
        }
        return .wait
    }

    /// Which endpoints are available.
    func look(_ worker: Worker) {
        let workspace = worker.workspace
        let wasPanicking = balancer.isPanicking
        balancer.look(at: endpoints, now: workspace.now)
        takeTurns()
        guard balancer.isPanicking != wasPanicking else { return }
        if balancer.isPanicking {
            workspace.counters.add(.upstreamPanics)
            counts.panics.add(1, ordering: .relaxed)
        }
        guard workspace.now >= panicQuietUntil || !balancer.isPanicking else { return }
        panicQuietUntil = workspace.now + Worker.quietNanoseconds
        let words = balancer.isPanicking ? "panic, all endpoints are used" : "panic over"
        workspace.log.write(
            .warning,
            "\(words) upstream=\(name) available=\(balancer.availableCount) of=\(balancer.count)")
    }

    func connect(to endpoint: Endpoint, _ worker: Worker) {
        guard endpoint.mayConnect(now: worker.workspace.now) else { return }
        guard counts.connections.load(ordering: .relaxed) < terms.limits.connections else {
            worker.exceeded(.upstreamConnections, "upstream=\(name)")
            return
        }
        guard let connection = worker.connect(to: endpoint, of: self) else { return }
        counts.connections.add(1, ordering: .relaxed)
        endpoint.add(connection)
    }

    private func unreachable(_ attempt: Attempt) -> ProxyError {
        // Another worker may hold all the connections that the process may have.
        if counts.connections.load(ordering: .relaxed) >= terms.limits.connections {
            return .overLimit(.upstreamConnections)
        }
        let words = missingEndpoints ?? "no server of upstream \(name) can be reached"
        return ProxyError(.unreachable, .upstream, words)
    }

    // MARK: Counting requests

    func requestBegan() {
        counts.requests.add(1, ordering: .relaxed)
        inFlight &+= 1
    }

    func requestEnded(_ attempt: Attempt, _ workspace: Workspace) {
        counts.requests.subtract(1, ordering: .relaxed)
        inFlight &-= 1
        adaptive?.ended(after: attempt.serverTime(at: workspace.now), workspace)
    }

    private func adaptive(_ worker: Worker) -> AdaptiveConcurrency {
        if let adaptive { return adaptive }
        let made = AdaptiveConcurrency(
            terms.conduct.adaptive ?? GradientTerms(), workers: worker.loads.count, counts)
        adaptive = made
        return made
    }

    // MARK: Retries

    func beginRetry() -> Bool {
        guard counts.retries.load(ordering: .relaxed) < terms.limits.retries else { return false }
        counts.retries.add(1, ordering: .relaxed)
        return true
    }

    func endRetry() { counts.retries.subtract(1, ordering: .relaxed) }

    /// A call begins that may be tried again.
    func retryableCallBegan(now: Int64) { retries.callBegan(now: now) }

    /// Takes one out of what an upstream's calls may be tried again; false where there is none.
    func takeRetry(_ budget: RetryBudget, workers: Int, now: Int64) -> Bool {
        if let throttle = terms.conduct.retryThrottle {
            guard throttle.allows(counts.throttleTokens(throttle)) else { return false }
        }
        return retries.takeRetry(budget, workers: workers, now: now)
    }

    /// gRFC A6: what a call that could be tried again leaves of the throttle's tokens.
    func countCall(isFailure: Bool) {
        guard let throttle = terms.conduct.retryThrottle else { return }
        counts.countCall(isFailure: isFailure, throttle)
    }

    // MARK: Waiting

    func wait(_ attempt: Attempt, _ worker: Worker) {
        attempt.state = .pending
        attempt.previousPending = lastWaiting
        attempt.nextPending = nil
        if let last = lastWaiting {
            last.use { $0.nextPending = Borrowed(attempt) }
        } else {
            firstWaiting = Borrowed(attempt)
        }
        lastWaiting = Borrowed(attempt)
        waitingCount += 1
        counts.pending.add(1, ordering: .relaxed)
        scheduleReconnect(worker)
    }

    /// Looks again when the first endpoint that failed may be tried: the connections that those who
    /// wait hope for may stay full for as long as their streams like.
    private func scheduleReconnect(_ worker: Worker) {
        guard waitingCount > 0, !reconnectTimer.isScheduled else { return }
        var retryAt = Int64.max
        for endpoint in endpoints where endpoint.retryAt > worker.workspace.now {
            retryAt = min(retryAt, endpoint.retryAt)
        }
        if let attempt = firstWaiting { retryAt = min(retryAt, attempt.use(awaitsEndpointsUntil)) }
        guard retryAt < .max else { return }
        reconnectTimer = worker.workspace.timers.schedule(.pool(Borrowed(self)), at: retryAt)
    }

    func reconnectTimerFired(_ worker: Worker) {
        reconnectTimer = .none
        serveWaiting(worker)
    }

    /// Nothing may name a pool that is let go.
    func cancelReconnect(_ workspace: Workspace) { workspace.timers.cancel(&reconnectTimer) }

    func stopWaiting(_ attempt: Attempt) {
        guard attempt.state == .pending else { return }
        if let previous = attempt.previousPending {
            previous.use { $0.nextPending = attempt.nextPending }
        } else {
            firstWaiting = attempt.nextPending
        }
        if let next = attempt.nextPending {
            next.use { $0.previousPending = attempt.previousPending }
        } else {
            lastWaiting = attempt.previousPending
        }
        attempt.nextPending = nil
        attempt.previousPending = nil
        attempt.state = .idle
        waitingCount -= 1
        counts.pending.subtract(1, ordering: .relaxed)
    }

    /// The caller of an attempt that waits has gone.
    func gaveUp(_ attempt: Attempt, _ worker: Worker) {
        stopWaiting(attempt)
        retireUnused(worker)
    }

    /// Something may have changed: sends what waits while there is room, and refuses it where no
    /// connection is to be had any more.
    func serveWaiting(_ worker: Worker) {
        serveFirst(worker)
        retireUnused(worker)
    }

    private func serveFirst(_ worker: Worker) {
        if isByHash { serveEach(worker) }
        while let attempt = firstWaiting {
            if let connection = attempt.use({ pick($0, worker) }) {
                attempt.use { attempt in
                    stopWaiting(attempt)
                    connection.use { worker.begin(attempt, on: $0) }
                }
            } else if isAnyAwaitedOrFull(worker) || attempt.use({ awaitsEndpoints($0, worker) }) {
                return scheduleReconnect(worker)
            } else if let connection = lastResort() {
                attempt.use { attempt in
                    stopWaiting(attempt)
                    connection.use { worker.begin(attempt, on: $0) }
                }
            } else {
                attempt.use {
                    stopWaiting($0)
                    worker.refuse($0, unreachable($0))
                }
            }
        }
    }

    /// Those behind the first may belong to an endpoint that has room.
    private func serveEach(_ worker: Worker) {
        var current = firstWaiting
        for _ in 0..<Self.servedAtOnceMax {
            guard let attempt = current else { return }
            current = attempt.use { $0.nextPending }
            guard let connection = attempt.use({ pick($0, worker) }) else { continue }
            attempt.use { attempt in
                stopWaiting(attempt)
                connection.use { worker.begin(attempt, on: $0) }
            }
        }
    }

    private static let servedAtOnceMax = 64

    // MARK: Connections that ended

    func connectionEnded(_ connection: UpstreamConnection, _ worker: Worker) {
        counts.connections.subtract(1, ordering: .relaxed)
        connection.endpoint.use { $0.remove(connection) }
        retiredEndpoints.removeAll { $0.connections.isEmpty }
        serveWaiting(worker)
    }

    // MARK: Reloads

    /// Takes new terms: endpoints that stay keep their connections, those that left drain.
    ///
    /// Connections are kept where a server that was believed still is; one that was verified under
    /// other authorities, revocations or expected peers is not used again. Nor is one on which Weir
    /// has shown another certificate than it has now: the server lets it live no longer than that.
    func update(_ newTerms: UpstreamTerms, _ newTLS: ClientTLS?, _ worker: Worker) {
        if isRetired {
            isRetired = false
            for endpoint in endpoints { endpoint.unretire() }
        }
        guard newTerms !== terms || newTLS !== tls else { return }
        list = newTerms.source.flatMap { worker.discovered.lists[$0] }
        if newTerms.conduct.adaptive != terms.conduct.adaptive { adaptive = nil }
        let keepsConnections =
            newTerms.limits == terms.limits && newTerms.timeouts == terms.timeouts
            && newTLS?.terms.digest == tls?.terms.digest
        terms = newTerms
        tls = newTLS
        watch.update(newTerms.conduct.ejection, endpoints, worker)
        let wanted = newTerms.source == nil ? newTerms.endpoints : list?.endpoints ?? []
        replaceEndpoints(with: wanted, keepsConnections: keepsConnections, worker)
    }

    /// Its source may have given others. True where it has.
    @discardableResult
    func take(_ discovered: DiscoveredEndpoints, _ worker: Worker) -> Bool {
        guard let source = terms.source, let next = discovered.lists[source], next !== list else {
            return false
        }
        list = next
        replaceEndpoints(with: next.endpoints, keepsConnections: true, worker)
        return true
    }

    private func replaceEndpoints(
        with wanted: [EndpointTerms], keepsConnections: Bool, _ worker: Worker
    ) {
        var known: [SocketAddress: Endpoint] = [:]
        if keepsConnections { for endpoint in endpoints { known[endpoint.address] = endpoint } }
        let updated = counts.subset(of: wanted, terms.balance).map { wanted in
            if let endpoint = known.removeValue(forKey: wanted.address) {
                endpoint.terms = wanted
                return endpoint
            }
            let id = worker.workspace.nextEndpointSerial()
            let record = counts.health.record(of: wanted.address)
            return Endpoint(wanted, id: id, record, terms.timeouts)
        }
        let leaving = endpoints.filter { !keepsConnections || known[$0.address] != nil }
        endpoints = updated
        balancer.update(terms.balance)
        look(worker)
        retiredEndpoints += leaving
        for endpoint in leaving { endpoint.retire(worker) }
        retiredEndpoints.removeAll { $0.connections.isEmpty }
        serveWaiting(worker)
    }

    /// The upstream left the configuration: its attempts end by themselves, those that wait for a
    /// stream included.
    func retire(_ worker: Worker) {
        isRetired = true
        retireUnused(worker)
    }

    private func retireUnused(_ worker: Worker) {
        guard isRetired, waitingCount == 0 else { return }
        for endpoint in endpoints { endpoint.retire(worker) }
    }
}

/// An upstream's counts for the whole process, shared by all workers: its limits are for the
/// process. Survive reloads by the upstream's name.
public final class UpstreamCounts: Sendable {
    let connections = Atomic<Int>(0)
    let requests = Atomic<Int>(0)
    let pending = Atomic<Int>(0)
    let retries = Atomic<Int>(0)
    let panics = Atomic<Int>(0)
    public let health = UpstreamHealth()
    public let mirrored = MirrorCounts()
    /// Tokens of the retry throttle that are gone, in thousandths.
    private let throttleSpent = Atomic<Int>(0)

    /// The sum of all workers' adaptive limits; 0 where there is none.
    let adaptiveLimit = Atomic<Int>(0)
    /// Which endpoints of many are this process's.
    private let subsetSeed = UInt64.random(in: .min ... .max)

    public init() {}

    public var adaptiveConcurrency: Int { adaptiveLimit.load(ordering: .relaxed) }

    func subset(of endpoints: [EndpointTerms], _ terms: BalanceTerms) -> [EndpointTerms] {
        Subset.choose(terms.subset, of: endpoints, seed: subsetSeed)
    }

    func throttleTokens(_ throttle: RetryThrottle) -> Int {
        throttle.maximum - min(throttle.maximum, throttleSpent.load(ordering: .relaxed))
    }

    /// Nothing is written while all is well.
    func countCall(isFailure: Bool, _ throttle: RetryThrottle) {
        var spent = throttleSpent.load(ordering: .relaxed)
        while isFailure || spent > 0 {
            let tokens = throttle.maximum - min(throttle.maximum, spent)
            let next = throttle.maximum - throttle.tokens(tokens, afterFailure: isFailure)
            let (exchanged, seen) = throttleSpent.weakCompareExchange(
                expected: spent, desired: next, ordering: .relaxed)
            if exchanged { return }
            spent = seen
        }
    }

    /// In all workers: connections there are, requests that servers work on, requests that wait.
    public var connectionCount: Int { connections.load(ordering: .relaxed) }
    public var requestCount: Int { requests.load(ordering: .relaxed) }
    public var pendingCount: Int { pending.load(ordering: .relaxed) }
    /// Calls that are being tried again.
    public var retryCount: Int { retries.load(ordering: .relaxed) }
    /// How often a worker began to use all endpoints, as too few were available.
    public var panicCount: Int { panics.load(ordering: .relaxed) }
}
