public import Configuration
internal import Identity
internal import Rules
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
    /// By position in the snapshot's list of rate limits.
    private let ownLimiters: [RateLimiter]
    let limiters: [Borrowed<RateLimiter>]
    let hasRateLimits: Bool
    /// Of the snapshot.
    let access: Borrowed<AccessTable>
    /// Methods that have series of their own; nil where the configuration names no descriptors.
    let methods: Borrowed<DeclaredMethods>?
    /// How many of 2^32 exchanges without an error have a line in the access log; 0 only errors, -1
    /// none at all.
    let logShare: Int64
    /// Tokens are looked at.
    let hasIssuers: Bool
    /// For each issuer, its keys if they are at hand.
    var keySets: [KeySet?] = []
    static let logShareMax: Int64 = 1 << 32
    /// Exchanges that began with it and have not ended.
    @safe @exclusivity(unchecked) var users = 0
    /// What decisions are counted in: for the default, then for each rule, once it has decided.
    @safe @exclusivity(unchecked) var accessCounts: [Borrowed<CounterBlock>?]

    init(_ snapshot: Snapshot, _ pools: [UpstreamPool], _ limiters: [RateLimiter]) {
        self.snapshot = snapshot
        shortRevision = ShortName(snapshot.revision)
        self.pools = pools
        borrowedPools = pools.map { Borrowed($0) }
        ownLimiters = limiters
        self.limiters = limiters.map { Borrowed($0) }
        hasRateLimits = !limiters.isEmpty
        access = Borrowed(snapshot.access)
        accessCounts = Array(repeating: nil, count: snapshot.access.rules.count + 1)
        hasIssuers = !snapshot.tokens.isEmpty
        methods = snapshot.telemetry.methods.map { Borrowed($0) }
        logShare = snapshot.telemetry.accessLog.map { Int64(clamping: $0.share) } ?? -1
    }

    /// Those of rules that left the configuration go; what is left is found again.
    func forgetAccessCounts() {
        accessCounts = Array(repeating: nil, count: accessCounts.count)
    }

    /// Of a listener of this snapshot, in its list.
    func position(of terms: ListenerTerms) -> Int {
        guard let position = snapshot.listeners.firstIndex(where: { $0 === terms }) else {
            preconditionFailure("a listener's terms are those of its generation")
        }
        return position
    }
}

/// A snapshot with what the process shares of it, ready to be installed in every worker.
public final class Installation: Sendable {
    public let snapshot: Snapshot
    /// One for each listener of the snapshot, in its order.
    public let sockets: [ListeningSocket]
    /// One for each upstream of the snapshot, in its order.
    public let counts: [UpstreamCounts]
    /// One for each rate limit of the snapshot, in its order.
    public let buckets: [BucketTable]
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
        _ snapshot: Snapshot, sockets: [ListeningSocket], counts: [UpstreamCounts], tls: TLS,
        buckets: [BucketTable] = []
    ) {
        precondition(sockets.count == snapshot.listeners.count, "a socket for each listener")
        precondition(counts.count == snapshot.upstreams.count, "counts for each upstream")
        precondition(tls.servers.count == snapshot.listeners.count, "TLS for each listener")
        precondition(tls.clients.count == snapshot.upstreams.count, "TLS for each upstream")
        precondition(buckets.count == snapshot.rateLimits.count, "buckets for each rate limit")
        serverTLS = tls.servers
        clientTLS = tls.clients
        self.snapshot = snapshot
        self.sockets = sockets
        self.counts = counts
        self.buckets = buckets
    }
}
