internal import Configuration
internal import Proxy
internal import Rules
internal import Synchronization

/// What the control thread knows of the process, for whoever asks over its ports: they answer on
/// threads of their own.
final class ProcessState: Sendable {
    struct Facts: Sendable {
        var startedAt: Int64 = 0
        var snapshot: Snapshot?
        /// What it was made of, where an administration interface may be asked for it.
        var sources: [Source] = []
        /// Of its token issuers, as fetched.
        var keys: KeysAtHand = [:]
        /// When it was installed, in nanoseconds since 1970.
        var loadedAt: Int64 = 0
        /// Why the last load was refused, one line for each error; empty after one that was not.
        var lastErrors: [String] = []
        var reloads = Reloads()
        var isDraining = false
        var workers: [WorkerThread] = []
        var counts: [UpstreamCounts] = []
        /// Of each of the snapshot's rate limits.
        var buckets: [BucketTable] = []
        /// Of the upstreams' sources of endpoints.
        var discovery: [EndpointSource: DiscoveryFacts] = [:]
        var memory = OverloadWatch.Figures()
        /// Every source of endpoints was asked once.
        var isSettled = false
        /// Of each of the snapshot's listeners.
        var connections: [ConnectionCount] = []
        /// Whose sockets were taken over.
        var predecessor: PredecessorFacts?
    }

    struct PredecessorFacts {
        let processID: Int32
        /// Of its program.
        let version: String
        /// Nil where it is out of sight.
        var isRunning: Bool?
    }

    struct Reloads: Sendable {
        var installed: UInt64 = 0
        var unchanged: UInt64 = 0
        var refused: UInt64 = 0
    }

    private let facts = Mutex(Facts())
    let accessLog: AccessLog
    let stopper: Stopper
    let succession: Succession
    let level: LogLevel
    /// Of the process, which configurations refer to.
    let environment: [String: String]

    init(
        _ accessLog: AccessLog, _ stopper: Stopper, _ succession: Succession, _ level: LogLevel,
        _ environment: [String: String]
    ) {
        self.succession = succession
        self.environment = environment
        self.accessLog = accessLog
        self.stopper = stopper
        self.level = level
    }

    var now: Facts { facts.withLock { $0 } }

    func change(_ body: (inout sending Facts) -> Void) { facts.withLock { body(&$0) } }
}
