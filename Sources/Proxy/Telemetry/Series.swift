internal import Configuration
internal import Synchronization
public import Wire

/// What requests are told apart by in the metrics. All of it comes from the configuration, so that
/// no client can make their number grow.
public enum SeriesKey: Hashable, Sendable {
    /// - route: empty where none was found. - method: `pkg.Service/Method` where the route's match
    ///   names it, otherwise `other`; nil for what is not gRPC.
    case call(listener: String, route: String, method: String?)
    case attempt(upstream: String, endpoint: SocketAddress)
    /// All attempts of a request together, and its waiting for them.
    case clientCall(upstream: String)
}

/// What became of a request, as metrics tell it.
public enum Outcome {
    /// gRPC's codes 0 to 16; the next is any other number, then none at all.
    static let grpcOther = 17
    static let grpcNone = 18
    /// HTTP's classes 1xx to 5xx follow, and no answer at all.
    static let http = 19
    static let httpNone = 24
    public static let count = 25

    /// The value of the label `grpc_status` (HTTP: `status`).
    public static func name(_ outcome: Int) -> String {
        switch outcome {
        case 0...16: GRPCStatus(rawValue: UInt8(outcome)).map { "\($0.name)" } ?? "UNKNOWN"
        case grpcOther: "other"
        case http..<httpNone: "\(outcome - http + 1)xx"
        default: "none"
        }
    }

    public static func isGRPC(_ outcome: Int) -> Bool { outcome < http }

    @inline(always)
    static func of(_ account: borrowing ExchangeAccount, isGRPC: Bool) -> Int {
        if isGRPC {
            let status = account.grpcStatus
            if status <= 16 { return Int(status) }
            return status == ExchangeAccount.noStatus ? grpcNone : grpcOther
        }
        let group = Int(account.status) / 100
        return group >= 1 && group <= 5 ? http &+ group &- 1 : httpNone
    }
}

/// One series of one worker: how many began, and for each outcome that occurred a block of its own.
public final class Series: Sendable {
    /// The words of an outcome's block.
    public enum Word {
        public static let requestBytes = 0
        public static let responseBytes = 1
        public static let requestMessages = 2
        public static let responseMessages = 3
        public static let nanoseconds = 4
        public static let buckets = 5
        /// By how much the messages of one request had together, and those of its answer.
        public static let requestSizes = buckets + LatencyBuckets.count
        public static let responseSizes = requestSizes + MessageSizeBuckets.count
        public static let count = responseSizes + MessageSizeBuckets.count

        /// Without the prefixes of whole messages, which are in the bytes of DATA.
        @inline(__always)
        public static func messageBytes(_ bytes: UInt64, messages: UInt64) -> UInt64 {
            let prefixes = messages &* 5
            return bytes > prefixes ? bytes &- prefixes : 0
        }

        public static var latencies: Range<Int> { buckets..<requestSizes }
        public static func sizes(from first: Int) -> Range<Int> {
            first..<first + MessageSizeBuckets.count
        }
    }

    public let key: SeriesKey
    private let started = CounterBlock(count: 1)
    private let blocks = Mutex<[CounterBlock?]>(Array(repeating: nil, count: Outcome.count))
    private let retryBlock = Mutex<CounterBlock?>(nil)

    init(_ key: SeriesKey) { self.key = key }

    public var startedCount: UInt64 { started[0] }

    /// The blocks of the outcomes that occurred.
    public var outcomes: [(outcome: Int, block: CounterBlock)] {
        blocks.withLock { blocks in
            blocks.indices.compactMap { index in blocks[index].map { (index, $0) } }
        }
    }

    /// Nil where there were none. The words of `RetryHistogram`.
    public var retries: CounterBlock? { retryBlock.withLock { $0 } }

    @inline(always)
    func began() { started.add(1, at: 0) }

    fileprivate func makeRetries() -> CounterBlock {
        let block = CounterBlock(count: RetryHistogram.wordCount)
        retryBlock.withLock { $0 = block }
        return block
    }

    /// Made when an outcome occurs for the first time.
    fileprivate func block(_ outcome: Int) -> CounterBlock {
        blocks.withLock { blocks in
            if let block = blocks[outcome] { return block }
            let block = CounterBlock(count: Word.count)
            blocks[outcome] = block
            return block
        }
    }
}

/// A series as its worker uses it: without locks, without counting references.
final class SeriesWriter {
    let series: Series
    @safe @exclusivity(unchecked) private var blocks: [Borrowed<CounterBlock>?]

    init(_ series: Series) {
        self.series = series
        blocks = Array(repeating: nil, count: Outcome.count)
    }

    private(set) lazy var retries = Borrowed(series.makeRetries())

    @inline(always)
    func began() { series.began() }

    @inline(always)
    func ended(_ outcome: Int) -> Borrowed<CounterBlock> {
        if let block = blocks[outcome] { return block }
        return make(outcome)
    }

    private func make(_ outcome: Int) -> Borrowed<CounterBlock> {
        let block = Borrowed(series.block(outcome))
        blocks[outcome] = block
        return block
    }
}

/// The series of all workers, for whoever reads them.
public final class SeriesRegistry: Sendable {
    private let entries = Mutex<[Series]>([])

    public init() {}

    /// In the order in which they were made.
    public var all: [Series] { entries.withLock { $0 } }

    func add(_ series: Series) { entries.withLock { $0.append(series) } }

    func remove(_ removed: [Series]) {
        entries.withLock { all in
            all.removeAll { series in removed.contains { $0 === series } }
        }
    }
}
