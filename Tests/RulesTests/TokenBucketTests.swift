import Testing

@testable import Rules

@Suite struct TokenBucketTests {
    private static let second: Int64 = 1_000_000_000

    struct Step: Sendable {
        let at: Int64
        let count: Int64
        let outcome: Bool
        /// Until there is enough, of what was refused.
        var wait: Int64 = 0
    }

    private static let histories: [(Rate, burst: Int64, [Step])] = [
        (
            Rate(count: 10, period: second), 2,
            [
                Step(at: 0, count: 1, outcome: true), Step(at: 0, count: 1, outcome: true),
                Step(at: 0, count: 1, outcome: false, wait: 100_000_000),
                Step(at: 99_999_999, count: 1, outcome: false, wait: 1),
                Step(at: 100_000_000, count: 1, outcome: true),
                Step(at: 100_000_000, count: 1, outcome: false, wait: 100_000_000),
                // A pause fills it, and no further.
                Step(at: 10 * second, count: 2, outcome: true),
                Step(at: 10 * second, count: 1, outcome: false, wait: 100_000_000),
            ]
        ),
        (
            Rate(count: 1, period: 3_600 * second), 1,
            [
                Step(at: 5, count: 1, outcome: true),
                Step(at: 5 + 60 * second, count: 1, outcome: false, wait: 3_540 * second),
                Step(at: 5 + 3_600 * second, count: 1, outcome: true),
            ]
        ),
        (
            Rate(count: 100, period: second), 50,
            [
                // All or none.
                Step(at: 7, count: 51, outcome: false, wait: 10_000_000),
                Step(at: 7, count: 50, outcome: true),
                Step(at: 7, count: 50, outcome: false, wait: 500_000_000),
                // Nor does a clock that stands a little behind give anything away.
                Step(at: 3, count: 1, outcome: false, wait: 10_000_004),
            ]
        ),
    ]

    @Test("a bucket gives what its rate and burst say", arguments: histories.indices)
    func history(index: Int) {
        let (rate, burst, steps) = Self.histories[index]
        let bucket = TokenBucket(rate, burst: burst)
        var state = TokenBucket.full
        for step in steps {
            switch bucket.take(step.count, from: state, at: step.at) {
            case .taken(let next):
                #expect(step.outcome, "at \(step.at)")
                state = next
            case .refused(let wait):
                #expect(!step.outcome, "at \(step.at)")
                #expect(wait == step.wait, "at \(step.at)")
            }
        }
    }

    @Test("what refuses says when it would not", arguments: 1...20 as ClosedRange<UInt64>)
    func waits(seed: UInt64) {
        var random = SplitMix(seed)
        let rate = Rate(count: Int64.random(in: 1...1_000, using: &random), period: Self.second)
        let bucket = TokenBucket(rate, burst: Int64.random(in: 1...100, using: &random))
        var state = TokenBucket.full
        var now: Int64 = 1
        for _ in 0..<1_000 {
            now += Int64.random(in: 0..<5_000_000, using: &random)
            switch bucket.take(1, from: state, at: now) {
            case .taken(let next): state = next
            case .refused(let wait):
                #expect(!bucket.take(1, from: state, at: now + wait - 1).isTaken)
                #expect(bucket.take(1, from: state, at: now + wait).isTaken)
            }
        }
    }

    @Test("a bucket left empty by other terms is empty under these, and no emptier")
    func otherTerms() {
        let slow = TokenBucket(Rate(count: 1, period: Self.second), burst: 100)
        guard case .taken(let state) = slow.take(100, from: TokenBucket.full, at: 50) else {
            Issue.record("a full bucket gave nothing")
            return
        }
        let fast = TokenBucket(Rate(count: 1_000, period: Self.second), burst: 10)
        let adopted = fast.adopted(state, at: 50)
        #expect(fast.take(1, from: adopted, at: 50) == .refused(wait: 1_000_000))
        #expect(fast.adopted(TokenBucket.full, at: 50) == TokenBucket.full)
    }

    @Test("no rate is rounded up", arguments: [3, 7, 700_000, 999_999, 1_000_000] as [Int64])
    func rounding(count: Int64) {
        let bucket = TokenBucket(Rate(count: count, period: Self.second), burst: 1)
        #expect(bucket.interval * count >= Self.second)
    }

    private static let leases: [(rate: Int64, burst: Int64, workers: Int, batch: Int64)] = [
        (10, 10, 8, 1), (100, 200, 8, 1), (1_000, 1_000, 2, 1), (10_000, 10_000, 8, 10),
        (100_000, 100_000, 8, 100), (1_000_000, 1_000_000, 64, 976), (100_000, 100, 8, 1),
        (100_000, 1_000, 1, 62), (2_000, 1_000_000, 1, 2),
    ]

    @Test("batches are small, and what is kept for them is a sixteenth at most", arguments: leases)
    func lease(rate: Int64, burst: Int64, workers: Int, batch: Int64) {
        let bucket = TokenBucket(Rate(count: rate, period: Self.second), burst: burst)
        let lease = TokenLease(bucket, workers: workers)
        #expect(lease.batch == batch)
        let kept = burst - lease.shared.burst
        #expect(kept == (batch > 1 ? batch * Int64(workers) : 0))
        #expect(kept <= burst / 16)
    }
}
