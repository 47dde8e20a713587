internal import Synchronization

/// What one worker let through and refused by one rate limit.
public final class RateLimitCounts: Sendable {
    /// The words of the block, and what metrics call them.
    public enum Word: Int, CaseIterable, Sendable { case allowed, limited, wouldLimit, failed }

    public let limit: String
    let block = CounterBlock(count: Word.allCases.count)

    init(limit: String) { self.limit = limit }

    public subscript(word: Word) -> UInt64 { block[word.rawValue] }
}

/// The counts of one worker, for whoever reads them.
public final class RateLimitRegistry: Sendable {
    private let entries = Mutex<[RateLimitCounts]>([])

    public init() {}

    public var all: [RateLimitCounts] { entries.withLock { $0 } }

    func replace(_ counts: [RateLimitCounts]) { entries.withLock { $0 = counts } }
}
