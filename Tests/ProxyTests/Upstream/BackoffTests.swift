import TestKit
import Testing

@testable import Proxy

@Suite struct BackoffTests {
    /// A draw without jitter: 200 of 0...400.
    private static let middle: UInt64 = 200

    @Test("the delay doubles up to its end, and success forgets it")
    func doubles() {
        var backoff = Backoff(base: 100_000, max: 1_000_000)
        let delays = (1...6).map { failures -> Int64 in
            #expect(backoff.failed(now: 7, draw: Self.middle) == failures)
            return backoff.retryAt - 7
        }
        #expect(delays == [100_000, 200_000, 400_000, 800_000, 1_000_000, 1_000_000])
        backoff.succeeded()
        #expect(backoff.retryAt == 0)
        #expect(backoff.failed(now: 9, draw: Self.middle) == 1)
        #expect(backoff.retryAt == 100_009)
    }

    @Test(
        "a fifth of jitter either way",
        arguments: [(0, 800_000), (200, 1_000_000), (400, 1_200_000)]
    )
    func jitter(draw: UInt64, delay: Int64) {
        var backoff = Backoff(base: 1_000_000, max: 9_000_000)
        _ = backoff.failed(now: 0, draw: draw + 401 * 7)
        #expect(backoff.retryAt == delay)
    }

    @Test("no number of failures overflows", arguments: Seeds.chosen(default: 1...20))
    func bounds(seed: UInt64) {
        var chance = Chance(seed: seed)
        let hour: Int64 = 3_600_000_000_000
        let base = Int64(1 + chance.below(Int(24 * hour)))
        let end = base + Int64(chance.below(Int(24 * hour)))
        var backoff = Backoff(base: base, max: end)
        var now: Int64 = 0
        for failures in 1...200 {
            #expect(backoff.failed(now: now, draw: chance.next()) == failures)
            let delay = backoff.retryAt - now
            #expect(delay >= base / 5 * 4 && delay <= end / 5 * 6 + 1_000, "seed \(seed)")
            now = backoff.retryAt
        }
    }

    @Test("a server that leaves at once is waited for from the second time on")
    func leaving() {
        var backoff = Backoff(base: 100_000, max: 1_000_000)
        #expect(backoff.left(now: 7, draw: Self.middle) == 1)
        #expect(backoff.retryAt == 0)
        #expect(backoff.left(now: 7, draw: Self.middle) == 2)
        #expect(backoff.retryAt == 200_007)
        #expect(backoff.failed(now: 7, draw: Self.middle) == 3)
        #expect(backoff.retryAt == 400_007)
        backoff.succeeded()
        #expect(backoff.left(now: 7, draw: Self.middle) == 1)
        #expect(backoff.retryAt == 0)
    }

    @Test("an end below the base is the delay")
    func endBelowBase() {
        var backoff = Backoff(base: 5_000, max: 1_000)
        _ = backoff.failed(now: 0, draw: Self.middle)
        #expect(backoff.retryAt == 1_000)
    }
}
