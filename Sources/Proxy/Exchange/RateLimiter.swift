internal import Rules

/// A rate limit as one worker applies it: the shared buckets, and the batches of tokens that this
/// worker holds of them. Survives reloads as long as the buckets do.
final class RateLimiter {
    /// Tokens of one bucket that this worker may still use.
    private struct Batch {
        var key: UInt64 = 0
        var tokens: Int64 = 0
    }

    private static let batches = 256

    private(set) var limit: RateLimit
    let table: BucketTable
    let counts: RateLimitCounts
    private let workers: Int
    private var lease: TokenLease
    /// By the lowest bits of keys; empty where tokens are taken one by one.
    private var held: [Batch] = []
    /// When a line may be logged again.
    var quietUntil = Int64.min

    init(_ limit: RateLimit, _ table: BucketTable, workers: Int) {
        self.limit = limit
        self.table = table
        self.workers = workers
        counts = RateLimitCounts(limit: limit.name)
        lease = TokenLease(limit.bucket, workers: workers)
        holdBatches()
    }

    /// Takes new terms, for buckets of the same keys.
    func update(_ newLimit: RateLimit, at now: Int64) {
        guard newLimit !== limit else { return }
        limit = newLimit
        let newLease = TokenLease(newLimit.bucket, workers: workers)
        // What is held was counted by the old terms.
        if newLease != lease {
            held = []
            table.adopt(newLease.shared, at: now)
        }
        lease = newLease
        holdBatches()
    }

    private func holdBatches() {
        if lease.batch > 1, held.isEmpty {
            held = Array(repeating: Batch(), count: Self.batches)
        } else if lease.batch == 1 {
            held = []
        }
    }

    /// A token for a request with that key.
    func take(_ key: UInt64, at now: Int64) -> TokenBucket.Outcome {
        guard lease.batch > 1 else { return table.take(1, of: key, lease.shared, at: now) }
        let place = Int(truncatingIfNeeded: key & UInt64(Self.batches - 1))
        if held[place].key == key, held[place].tokens > 0 {
            held[place].tokens &-= 1
            return .taken(fullAt: now)
        }
        if held[place].tokens > 0 {
            table.giveBack(held[place].tokens, of: held[place].key, lease.shared)
            held[place].tokens = 0
        }
        let outcome = table.take(lease.batch, of: key, lease.shared, at: now)
        guard outcome.isTaken else { return table.take(1, of: key, lease.shared, at: now) }
        held[place] = Batch(key: key, tokens: lease.batch - 1)
        return outcome
    }
}
