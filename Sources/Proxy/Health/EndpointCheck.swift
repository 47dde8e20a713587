internal import Configuration
internal import Rules
internal import Wire

/// Asks one endpoint how it is, again and again, and tells its record. Each endpoint is checked by
/// one worker of the process.
///
///     resting -> asking -> resting ...      retired: no more, from either
///
/// It has a pool of its own, of that endpoint alone: what checks need is not taken from requests,
/// and no limit of theirs keeps a check away. TLS and identity are the upstream's.
final class EndpointCheck {
    let upstream: String
    let address: SocketAddress
    let terms: HealthCheckTerms
    let record: EndpointRecord
    private let pool: UpstreamPool
    private let bounds: (limits: UpstreamLimits, timeouts: UpstreamTimeouts)
    private let returnsEjected: Bool
    private var timer = WorkerTimer.none
    private var call: Borrowed<Exchange>?
    private var watch: Borrowed<Exchange>?
    /// A connection is being made, which is all that is asked for.
    private var isConnecting = false
    private var isWatchUnserved = false
    private var isUnservedNoted = false
    /// How often in a row the server did not take the question.
    private var timesUnprocessed = 0
    /// Why the last connection could not be made.
    private var failure = ""
    private var isRetired = false

    private static let timesUnprocessedMax = 3
    private static let responseBytesMax = 1_024

    init(
        _ record: EndpointRecord, _ main: UpstreamPool, _ terms: HealthCheckTerms, _ worker: Worker
    ) {
        upstream = main.name
        address = record.address
        self.terms = terms
        self.record = record
        bounds = (main.terms.limits, main.terms.timeouts)
        returnsEjected = main.terms.conduct.ejection?.returnsOnCheck ?? false
        pool = UpstreamPool(
            Self.ownTerms(main.terms, record.address, terms), main.tls, UpstreamCounts(),
            worker.workspace)
    }

    private static func ownTerms(
        _ terms: UpstreamTerms, _ address: SocketAddress, _ check: HealthCheckTerms
    ) -> UpstreamTerms {
        var timeouts = terms.timeouts
        let timeout = check.intervals.timeout
        timeouts.connect = min(timeouts.connect, timeout)
        timeouts.handshake = min(timeouts.handshake, timeout)
        timeouts.settings = timeouts.settings > 0 ? min(timeouts.settings, timeout) : timeout
        // Checks have their own rhythm.
        timeouts.backoffBase = 1
        timeouts.backoffMax = 1
        var limits = terms.limits
        limits.connections = 4
        limits.requests = 4
        limits.pending = 4
        return UpstreamTerms(
            name: terms.name, endpoints: ([EndpointTerms(address)], nil),
            proof: UpstreamTerms.Proof(tls: terms.tls), bounds: (limits, timeouts),
            conduct: UpstreamTerms.Conduct())
    }

    /// Whether a pool's terms of today ask for the same.
    func isStill(_ main: UpstreamPool) -> Bool {
        main.terms.conduct.healthCheck == terms && main.tls === pool.tls
            && main.terms.timeouts == bounds.timeouts && main.terms.limits == bounds.limits
            && (main.terms.conduct.ejection?.returnsOnCheck ?? false) == returnsEjected
    }

    // MARK: Asking

    func begin(_ worker: Worker) {
        pool.check = Borrowed(self)
        schedule(at: worker.workspace.now, worker)
    }

    private func schedule(at time: Int64, _ worker: Worker) {
        guard !isRetired, !timer.isScheduled else { return }
        timer = worker.workspace.timers.schedule(.check(Borrowed(self)), at: time)
    }

    func timerFired(_ worker: Worker) {
        timer = .none
        if isConnecting {
            closeConnections(worker)
            return ended(.failed, "no connection within the time for it", worker)
        }
        failure = ""
        switch terms.kind {
        case .grpc(let service, _): ask(service, worker)
        case .http(let path, let host, _):
            var request = OwnCall.Request(path: path, authority: host)
            request.method = "GET"
            request.timeout = terms.intervals.timeout
            call = worker.call(request, pool, OwnCall(.check(Borrowed(self)), .nothing))
        case .tcp: connect(worker)
        }
    }

    private func ask(_ service: [UInt8], _ worker: Worker) {
        var request = question(service, "/grpc.health.v1.Health/Check")
        request.timeout = terms.intervals.timeout
        let own = OwnCall(.check(Borrowed(self)), .whole(bytesMax: Self.responseBytesMax))
        call = worker.call(request, pool, own)
    }

    private func question(_ service: [UInt8], _ path: String) -> OwnCall.Request {
        var request = OwnCall.Request(path: Array(path.utf8), authority: Array(upstream.utf8))
        request.isGRPC = true
        request.body = HealthMessage.request(service)
        return request
    }

    // MARK: Only connecting

    private func connect(_ worker: Worker) {
        isConnecting = true
        schedule(at: worker.workspace.now &+ terms.intervals.timeout, worker)
        for endpoint in pool.endpoints { pool.connect(to: endpoint, worker) }
    }

    /// The connection is made and secured. True where that is all that was asked for.
    func connected(_ worker: Worker) -> Bool {
        guard terms.kind == .tcp else { return false }
        if isConnecting { ended(.well, "connected", worker) }
        return true
    }

    func connectFailed(_ reason: String, _ worker: Worker) {
        failure = reason
        if isConnecting { ended(.failed, reason, worker) }
    }

    private func closeConnections(_ worker: Worker) {
        for connection in pool.endpoints.flatMap(\.connections) { connection.retire(worker) }
    }

    // MARK: What is answered

    func callEnded(_ end: OwnCall.End, _ worker: Worker) {
        call = nil
        if let error = end.error { return failed(error, worker) }
        timesUnprocessed = 0
        switch terms.kind {
        case .grpc: answered(end, worker)
        case .http(_, _, let statuses):
            let isWell = statuses.contains { $0.contains(end.status) }
            ended(isWell ? .well : .failed, "status \(end.status)", worker)
        case .tcp: break
        }
    }

    private func failed(_ error: ProxyError, _ worker: Worker) {
        // A server that goes away gracefully has not failed: the next connection will tell.
        if error.kind == .refused, error.fault == .upstream,
            timesUnprocessed < Self.timesUnprocessedMax
        {
            timesUnprocessed += 1
            return rest(worker)
        }
        let words = error.kind == .deadlineExceeded ? "no answer in time" : error.detail
        ended(.failed, failure.isEmpty ? words : failure, worker)
    }

    private func answered(_ end: OwnCall.End, _ worker: Worker) {
        switch end.grpcStatus {
        case 0:
            switch HealthMessage.status(end.body) {
            case .serving: ended(.well, "SERVING", worker)
            case .notServing: ended(.notServing, "NOT_SERVING", worker)
            case .serviceUnknown: ended(.failed, "SERVICE_UNKNOWN", worker)
            case nil: ended(.failed, "an answer that says nothing", worker)
            }
        case UInt32(GRPCStatus.unimplemented.rawValue):
            noteUnserved(worker)
            ended(.well, "UNIMPLEMENTED, taken for healthy", worker)
        case ExchangeAccount.noStatus:
            ended(.failed, "status \(end.status), and no gRPC", worker)
        case let code:
            let name = UInt8(exactly: code).flatMap(GRPCStatus.init)?.name
            ended(.failed, name.map { "\($0)" } ?? "status \(code)", worker)
        }
    }

    /// The configuration asks for what the server does not have: that is no reason to send it
    /// nothing.
    private func noteUnserved(_ worker: Worker) {
        if isUnservedNoted { return }
        isUnservedNoted = true
        worker.workspace.log.write(
            .warning,
            "health checks are not served upstream=\(upstream) endpoint=\(address)")
    }

    private func ended(_ result: CheckedHealth.Result, _ words: String, _ worker: Worker) {
        isConnecting = false
        worker.workspace.timers.cancel(&timer)
        tell(result, words, worker)
        if result == .well { beginWatch(worker) }
        rest(worker)
    }

    private func rest(_ worker: Worker) {
        let delay = record.delay(terms, draw: worker.workspace.system.random())
        schedule(at: worker.workspace.now &+ delay, worker)
    }

    private func tell(_ result: CheckedHealth.Result, _ words: String, _ worker: Worker) {
        let isWell = result == .well || result == .told(serving: true)
        worker.workspace.counters.add(isWell ? .healthChecksPassed : .healthChecksFailed)
        let place = "upstream=\(upstream) endpoint=\(address)"
        switch record.checked(result, words: words, terms) {
        case nil, .unknown: break
        case .healthy:
            worker.workspace.log.write(.notice, "endpoint healthy \(place) check=\"\(words)\"")
        case .unhealthy:
            worker.workspace.log.write(.warning, "endpoint unhealthy \(place) check=\"\(words)\"")
        }
        guard isWell, returnsEjected, record.restore(worker.workspace.now) else { return }
        worker.workspace.log.write(.notice, "endpoint returned \(place) reason=check")
    }

    // MARK: Watching

    private func beginWatch(_ worker: Worker) {
        guard case .grpc(let service, true) = terms.kind, watch == nil, !isWatchUnserved,
            !isUnservedNoted, !isRetired
        else { return }
        let request = question(service, "/grpc.health.v1.Health/Watch")
        let own = OwnCall(.watch(Borrowed(self)), .messages(bytesMax: Self.responseBytesMax))
        watch = worker.call(request, pool, own)
    }

    func wasTold(_ message: [UInt8], _ worker: Worker) {
        switch HealthMessage.status(message) {
        case .serving: tell(.told(serving: true), "SERVING, told by Watch", worker)
        case .notServing: tell(.told(serving: false), "NOT_SERVING, told by Watch", worker)
        case .serviceUnknown, nil: break
        }
    }

    /// The next check that is well begins another, unless the server has none.
    func watchEnded(_ end: OwnCall.End, _ worker: Worker) {
        watch = nil
        let unimplemented = UInt32(GRPCStatus.unimplemented.rawValue)
        if end.error == nil, end.grpcStatus == unimplemented { isWatchUnserved = true }
    }

    // MARK: The end

    func retire(_ worker: Worker) {
        isRetired = true
        worker.workspace.timers.cancel(&timer)
        if let call { worker.cancel(call) }
        if let watch { worker.cancel(watch) }
        call = nil
        watch = nil
        pool.retire(worker)
    }

    /// Nothing names it any more.
    func isOver(_ workspace: Workspace) -> Bool {
        guard !pool.hasConnections, pool.waitingCount == 0 else { return false }
        pool.cancelReconnect(workspace)
        return true
    }
}
