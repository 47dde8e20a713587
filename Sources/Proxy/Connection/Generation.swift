public import Configuration
internal import Wire

/// A snapshot as one worker holds it, with that worker's pools of its upstreams.
///
/// Exchanges count themselves in and out, so that using a snapshot never touches a count that other
/// cores share; the worker lets a replaced generation go when its last exchange has ended.
final class Generation {
    let snapshot: Snapshot
    let shortRevision: ShortName
    /// By position in the snapshot's list of upstreams.
    private let pools: [UpstreamPool]
    /// The same, for use without counting.
    let borrowedPools: [Borrowed<UpstreamPool>]
    /// How many of 2^32 exchanges without an error have a line in the access log; 0 only errors, -1
    /// none at all.
    let logShare: Int64
    static let logShareMax: Int64 = 1 << 32
    /// Exchanges that began with it and have not ended.
    @safe @exclusivity(unchecked) var users = 0

    init(_ snapshot: Snapshot, _ pools: [UpstreamPool]) {
        self.snapshot = snapshot
        shortRevision = ShortName(snapshot.revision)
        self.pools = pools
        borrowedPools = pools.map { Borrowed($0) }
        logShare = snapshot.telemetry.accessLog.map { Int64(clamping: $0.share) } ?? -1
    }
}

/// A snapshot with what the process shares of it, ready to be installed in every worker.
public final class Installation: Sendable {
    public let snapshot: Snapshot
    /// One for each listener of the snapshot, in its order.
    public let sockets: [ListeningSocket]
    /// One for each upstream of the snapshot, in its order.
    public let counts: [UpstreamCounts]
    /// For each listener, then for each upstream; nil is cleartext.
    public let serverTLS: [ServerTLS?]
    public let clientTLS: [ClientTLS?]

    /// What is shared of TLS; empty where all is cleartext.
    public struct TLS: Sendable {
        public var servers: [ServerTLS?]
        public var clients: [ClientTLS?]

        public init(servers: [ServerTLS?], clients: [ClientTLS?]) {
            self.servers = servers
            self.clients = clients
        }
    }

    public init(
        _ snapshot: Snapshot, sockets: [ListeningSocket], counts: [UpstreamCounts], tls: TLS
    ) {
        precondition(sockets.count == snapshot.listeners.count, "a socket for each listener")
        precondition(counts.count == snapshot.upstreams.count, "counts for each upstream")
        precondition(tls.servers.count == snapshot.listeners.count, "TLS for each listener")
        precondition(tls.clients.count == snapshot.upstreams.count, "TLS for each upstream")
        serverTLS = tls.servers
        clientTLS = tls.clients
        self.snapshot = snapshot
        self.sockets = sockets
        self.counts = counts
    }
}
