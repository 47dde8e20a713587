/// A token bucket as arithmetic: how fast it fills, and what it holds when it is full.
///
/// Its state is one number, the moment at which it will be full again if nobody takes anything; a
/// moment that has passed says that it is full. So nothing has to be filled by a timer, a bucket
/// that nobody remembers is a full one, and whoever shares one changes a single word.
public struct TokenBucket: BitwiseCopyable, Equatable, Sendable {
    public enum Outcome: BitwiseCopyable, Equatable, Sendable {
        /// The bucket's new state.
        case taken(fullAt: Int64)
        /// So many nanoseconds until there would be enough.
        case refused(wait: Int64)

        public var isTaken: Bool { if case .taken = self { true } else { false } }
    }

    /// The state of a bucket that is full whenever it is.
    public static let full: Int64 = 0

    /// Nanoseconds from one token to the next, rounded up: never faster than was asked for.
    public let interval: Int64
    public let burst: Int64

    public init(_ rate: Rate, burst: Int64) {
        interval = (rate.period + rate.count - 1) / rate.count
        self.burst = burst
    }

    init(interval: Int64, burst: Int64) {
        self.interval = interval
        self.burst = burst
    }

    /// Takes tokens from a bucket in that state, all or none.
    public func take(_ count: Int64, from fullAt: Int64, at now: Int64) -> Outcome {
        let span = burst &* interval
        let next = max(fullAt, now) &+ count &* interval
        let excess = next &- now &- span
        return excess > 0 ? .refused(wait: excess) : .taken(fullAt: next)
    }

    /// The state that a bucket has under these terms where others, which may have filled it more
    /// slowly, left it in that one: empty is empty.
    public func adopted(_ fullAt: Int64, at now: Int64) -> Int64 {
        min(fullAt, now &+ burst &* interval)
    }
}

/// So many in a period of a second, a minute or an hour.
public struct Rate: BitwiseCopyable, Equatable, Sendable {
    public static let countMax: Int64 = 1_000_000

    /// From 1 to `countMax`.
    public let count: Int64
    /// In nanoseconds.
    public let period: Int64

    public init(count: Int64, period: Int64) {
        self.count = count
        self.period = period
    }
}

/// How the tokens of one bucket are handed to several workers, each of which shares nothing with
/// the others while its batch lasts.
///
/// A batch is what the rate gives in a millisecond, but never so much that all workers' batches
/// together are more than a sixteenth of the burst. They are kept out of the shared bucket, so
/// that what it holds and what workers hold is never more than the burst: in any time t, all
/// workers together let through burst + rate * t at most, whatever each of them does with its
/// batch, later or never. Where that leaves no batch of two, each token is taken from the shared
/// bucket: at such rates that is nothing.
public struct TokenLease: BitwiseCopyable, Equatable, Sendable {
    private static let batchNanoseconds: Int64 = 1_000_000
    private static let share: Int64 = 16

    public let shared: TokenBucket
    /// 1: there are no batches.
    public let batch: Int64

    public init(_ bucket: TokenBucket, workers: Int) {
        let workers = Int64(max(workers, 1))
        let most = bucket.burst / (Self.share * workers)
        let batch = max(1, min(Self.batchNanoseconds / bucket.interval, most))
        self.batch = batch
        let kept = batch > 1 ? batch * workers : 0
        shared = TokenBucket(interval: bucket.interval, burst: bucket.burst - kept)
    }
}
