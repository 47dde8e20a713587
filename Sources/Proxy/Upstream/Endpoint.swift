internal import Rules
internal import Wire

/// One address of an upstream, as one worker knows it: its connections and when to try again.
final class Endpoint {
    /// Of this worker's endpoints, from 1; never used again.
    let id: UInt32
    var terms: EndpointTerms
    var address: SocketAddress { terms.address }
    let packedAddress: PackedAddress
    /// What attempts at it are counted in, once there was one.
    var series: Borrowed<SeriesWriter>?
    private(set) var connections: [UpstreamConnection] = []
    // Looked at for every request, see Exchange: without counting.
    @safe @exclusivity(unchecked) private var borrowed: [Borrowed<UpstreamConnection>] = []
    private var backoff: Backoff
    /// What its server gave last to resume a TLS session with. Used once: a session that fails is
    /// not tried again, and a server that is resumed gives another.
    private var resumption: TLSResumption?
    /// True once it left the configuration.
    private(set) var isRetired = false
    /// What all workers know of it.
    let record: EndpointRecord
    /// What its calls became since they were last handed to the record; where rates are counted.
    var tally = Outliers.Tally()

    /// Where endpoints start slowly.
    var warming = Warming()
    /// Where latency is measured, once something has ended.
    var latency: LatencyEstimate?

    /// False where it is to get no requests while enough others can take them.
    @inline(always)
    var isAvailable: Bool { record.isAvailable }

    init(
        _ terms: EndpointTerms, id: UInt32, _ record: EndpointRecord, _ timeouts: UpstreamTimeouts
    ) {
        self.terms = terms
        self.record = record
        self.id = id
        packedAddress = PackedAddress(terms.address)
        backoff = Backoff(base: timeouts.backoffBase, max: timeouts.backoffMax)
    }

    func mayConnect(now: Int64) -> Bool { !isRetired && now >= backoff.retryAt }
    var retryAt: Int64 { backoff.retryAt }
    /// The last try to connect failed.
    var hasFailed: Bool { backoff.hasFailed }

    /// A connection on which a request can be sent now; the fullest first, so that few are kept.
    @inline(always)
    var connectionWithRoom: Borrowed<UpstreamConnection>? {
        for index in 0..<borrowed.count {
            let connection = borrowed[index]
            if connection.use({ $0.hasRoom }) { return connection }
        }
        return nil
    }

    /// Connections on their way.
    var awaited: Int {
        var count = 0
        for connection in connections where connection.isAwaited { count += 1 }
        return count
    }

    /// Requests that its server works on for this worker. The connections' own lists are counted,
    /// so that no end of an attempt can be missed.
    var inFlight: Int {
        var count = 0
        for index in 0..<borrowed.count { count &+= borrowed[index].use { $0.attempts.count } }
        return count
    }

    /// It is available, and can be connected to as far as is known.
    var isUsable: Bool { isAvailable && (!hasFailed || established > 0) }

    /// True where another connection may help: none is on its way, and none that is ready is
    /// unused, which only a server that allows no streams at all leaves without room.
    var needsConnection: Bool {
        !connections.contains { $0.isAwaited || $0.isReadyAndUnused }
    }

    func add(_ connection: UpstreamConnection) {
        connections.append(connection)
        borrowed = connections.map { Borrowed($0) }
    }

    func remove(_ connection: UpstreamConnection) {
        connections.removeAll { $0 === connection }
        borrowed = connections.map { Borrowed($0) }
    }

    /// How many failures there were in a row.
    func connectionFailed(_ workspace: Workspace) -> Int {
        backoff.failed(now: workspace.now, draw: workspace.system.random())
    }

    /// Its server ended a connection before there was anything to do. Gives how often in a row.
    func serverLeft(_ workspace: Workspace) -> Int {
        backoff.left(now: workspace.now, draw: workspace.system.random())
    }

    func connectionSucceeded() { backoff.succeeded() }

    func keep(_ resumption: TLSResumption) { self.resumption = resumption }

    func takeResumption() -> TLSResumption? { resumption.take() }

    /// Connections that serve requests, if only those they have.
    var established: Int {
        var count = 0
        for connection in connections where connection.isServing { count += 1 }
        return count
    }

    func retire(_ worker: Worker) {
        if isRetired { return }
        isRetired = true
        for connection in connections { connection.retire(worker) }
    }

    /// Its upstream came back to the configuration; connections that were retired stay so.
    func unretire() { isRetired = false }
}

/// When to try again after failures: doubling from `base` to `max`, a fifth of jitter either way.
struct Backoff {
    private let base: Int64
    private let max: Int64
    private var failures = 0
    private(set) var retryAt: Int64 = 0
    var hasFailed: Bool { failures > 0 }

    init(base: Int64, max: Int64) {
        self.base = base
        self.max = max
    }

    /// `draw` is any random number.
    mutating func failed(now: Int64, draw: UInt64) -> Int {
        failures += 1
        let doublings = Int64(min(failures - 1, 20))
        let (scaled, overflow) = base.multipliedReportingOverflow(by: 1 << doublings)
        let delay = overflow ? max : min(max, scaled)
        let jitter = Int64(draw % 401) - 200
        retryAt = now + delay + delay / 1_000 * jitter
        return failures
    }

    /// The server made a connection and left: by chance the first time, so that the next is not
    /// waited for.
    mutating func left(now: Int64, draw: UInt64) -> Int {
        if failures > 0 { return failed(now: now, draw: draw) }
        failures = 1
        return failures
    }

    mutating func succeeded() {
        failures = 0
        retryAt = 0
    }
}
