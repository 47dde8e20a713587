import Rules
import Synchronization
import TestKit
import Testing

@testable import Proxy

@Suite struct BucketTableTests {
    private static let millisecond: Int64 = 1_000_000

    private static func limit(_ rate: Int64, burst: Int64, keys: Int = 64) -> RateLimit {
        RateLimit(
            name: "l", Rate(count: rate, period: 1_000_000_000), burst: burst,
            by: ([.source], keys), mode: (isDryRun: false, service: nil))
    }

    /// A clock that only goes on when everybody has looked at it often enough.
    private final class SharedClock: Sendable {
        let milliseconds = Atomic<Int64>(1)
    }

    struct Crowd: Sendable, CustomTestStringConvertible {
        let rate: Int64
        let burst: Int64
        let workers: Int
        var keys: UInt64 = 1

        var testDescription: String { "\(rate)/s, burst \(burst), \(workers) workers" }
    }

    private static let crowds = [
        Crowd(rate: 10, burst: 10, workers: 8), Crowd(rate: 10, burst: 1, workers: 8),
        Crowd(rate: 1_000, burst: 100, workers: 8),
        Crowd(rate: 10_000, burst: 10_000, workers: 8),
        Crowd(rate: 100_000, burst: 5_000, workers: 4),
        Crowd(rate: 1_000_000, burst: 40_000, workers: 8),
        Crowd(rate: 10_000, burst: 2_000, workers: 8, keys: 7),
    ]

    @Test(
        "all workers together never let through more than burst + rate * time, nor much less",
        arguments: crowds)
    func crowd(_ crowd: Crowd) async {
        let limit = Self.limit(crowd.rate, burst: crowd.burst)
        let table = BucketTable(keys: limit.keys)
        let clock = SharedClock()
        let end: Int64 = 200
        let taken = await withTaskGroup(of: [[Int]].self) { group in
            // Two threads with half of the workers each.
            for _ in 0..<2 {
                group.addTask {
                    let limiters = (0..<(crowd.workers / 2)).map { _ in
                        RateLimiter(limit, table, workers: crowd.workers)
                    }
                    return Self.take(limiters, crowd, clock, until: end)
                }
            }
            return await group.reduce(into: [[[Int]]]()) { $0.append($1) }
        }
        for key in 0..<Int(crowd.keys) {
            let sums = (0...Int(end)).map { slot in taken.reduce(0) { $0 + $1[key][slot] } }
            expectBound(sums, crowd)
        }
    }

    /// How much was let through in each millisecond, for each key.
    private static func take(
        _ limiters: [RateLimiter], _ crowd: Crowd, _ clock: SharedClock, until end: Int64
    ) -> [[Int]] {
        var taken = [[Int]](
            repeating: [Int](repeating: 0, count: Int(end) + 1), count: Int(crowd.keys))
        var turn: UInt64 = 0
        while true {
            let now = clock.milliseconds.load(ordering: .relaxed)
            if now > end { return taken }
            turn += 1
            let key = turn % crowd.keys
            let limiter = limiters[Int(turn) % limiters.count]
            let outcome = limiter.take(key &+ 0xabcd_0000_0000_0001, at: now * millisecond)
            if outcome.isTaken { taken[Int(key)][Int(now)] += 1 }
            // The first to have asked enough lets the time go on.
            if turn % 500 == 0 {
                _ = clock.milliseconds.compareExchange(
                    expected: now, desired: now + 1, ordering: .relaxed)
            }
        }
    }

    private func expectBound(_ sums: [Int], _ crowd: Crowd) {
        var worst = Int.min
        for first in sums.indices {
            var sum = 0
            for last in first..<sums.count {
                sum += sums[last]
                let time = Int64(last - first) * Self.millisecond
                let allowed = crowd.burst + crowd.rate * time / 1_000_000_000
                worst = max(worst, sum - Int(allowed))
            }
        }
        #expect(worst <= 0)
    }

    @Test(
        "a worker alone gets all that its rate gives, whatever the others hold", arguments: crowds)
    func alone(_ crowd: Crowd) {
        let limit = Self.limit(crowd.rate, burst: crowd.burst)
        let table = BucketTable(keys: limit.keys)
        // The others take one each, and then stay away with what they have leased.
        let others = (1..<crowd.workers).map { _ in
            RateLimiter(limit, table, workers: crowd.workers)
        }
        for other in others { _ = other.take(1, at: Self.millisecond) }
        let limiter = RateLimiter(limit, table, workers: crowd.workers)
        while limiter.take(1, at: Self.millisecond).isTaken {}
        var count: Int64 = 0
        for now in 2...101 as ClosedRange<Int64> {
            while limiter.take(1, at: now * Self.millisecond).isTaken { count += 1 }
        }
        let fair = crowd.rate / 10
        #expect(count <= fair && count >= fair - fair / 100 - 1)
    }

    @Test("tokens of a batch go back when another key needs the place")
    func givenBack() {
        let limit = Self.limit(100_000, burst: 100_000)
        let table = BucketTable(keys: 64)
        let limiter = RateLimiter(limit, table, workers: 1)
        // Both keys share a place among the worker's batches.
        for _ in 0..<10_000 {
            let isTaken =
                limiter.take(1 << 32 | 5, at: 1).isTaken && limiter.take(2 << 32 | 5, at: 1).isTaken
            #expect(isTaken)
        }
    }

    @Test("made-up keys push out themselves, not a bucket that is empty")
    func madeUpKeys() {
        let limit = Self.limit(1, burst: 10)
        let table = BucketTable(keys: 64)
        let limiter = RateLimiter(limit, table, workers: 2)
        let victim: UInt64 = 0x1234_5678_9abc_def0
        for _ in 0..<10 { #expect(limiter.take(victim, at: 1).isTaken) }
        var chance = Chance(seed: 7)
        for _ in 0..<20_000 { _ = limiter.take(chance.next(), at: 1) }
        #expect(!limiter.take(victim, at: 1).isTaken)
        #expect(table.capacity == 64)
        #expect(table.evicted > 19_000)
        #expect(table.used(at: 1) == 64)
        #expect(table.used(at: 60_000_000_000) == 0)
    }

    @Test("a key that comes in by many workers at once has one bucket")
    func oneBucket() async {
        for round in 1...50 as ClosedRange<UInt64> {
            let limit = Self.limit(1, burst: 3)
            let table = BucketTable(keys: 8)
            let sum = await withTaskGroup(of: Int.self) { group in
                for _ in 0..<4 {
                    group.addTask {
                        let limiter = RateLimiter(limit, table, workers: 4)
                        return (0..<3).count { _ in limiter.take(round << 20, at: 5).isTaken }
                    }
                }
                return await group.reduce(0, +)
            }
            #expect(sum == 3)
        }
    }
}
