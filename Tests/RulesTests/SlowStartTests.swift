import Rules
import Testing
import Wire

@Suite("Slow start")
struct SlowStartTests {
    private static let second: Int64 = 1_000_000_000

    @Test(
        "the share rises from the least to all",
        arguments: [
            (0, 100, 0.1), (5, 100, 0.1), (10, 100, 0.2), (25, 100, 0.5), (50, 100, 1),
            (12, 200, 0.489_897_949), (25, 50, 0.25), (99, 100, 1),
        ] as [(Int64, Int, Double)])
    func share(seconds: Int64, aggression: Int, expected: Double) {
        var terms = SlowStartTerms(window: 50 * Self.second)
        terms.aggression = aggression
        #expect(abs(terms.share(after: seconds * Self.second) - expected) < 1e-6)
    }

    @Test("who was there from the beginning is not spared, who comes later or comes back is")
    func warming() {
        let terms = SlowStartTerms(window: 10 * Self.second)
        var first = Warming()
        first.seen(isUsable: true, isFirst: true, now: 0)
        #expect(first.weight(2, now: 0, terms) == 2_000)
        first.seen(isUsable: false, isFirst: false, now: 20 * Self.second)
        first.seen(isUsable: true, isFirst: false, now: 30 * Self.second)
        #expect(first.weight(2, now: 30 * Self.second, terms) == 200)
        #expect(first.weight(2, now: 35 * Self.second, terms) == 1_000)
        #expect(first.weight(2, now: 40 * Self.second, terms) == 2_000)
        var later = Warming()
        later.seen(isUsable: true, isFirst: false, now: 0)
        later.seen(isUsable: true, isFirst: false, now: Self.second)
        #expect(later.weight(1, now: Self.second, terms) == 100)
    }
}

@Suite("Zones")
struct ZoneTests {
    @Test(
        "traffic stays while enough of the zone is usable, then leaves in proportion",
        arguments: [
            (10, 10, 1), (7, 10, 1), (6, 10, 6.0 / 7), (1, 10, 1.0 / 7), (0, 10, 0), (0, 0, 0),
        ] as [(Int, Int, Double)])
    func share(usable: Int, count: Int, expected: Double) {
        let terms = ZoneTerms(local: "a", minimum: 7_000)
        #expect(abs(terms.localShare(usable: usable, of: count) - expected) < 1e-9)
    }
}

@Suite("Subsets")
struct SubsetTests {
    private func endpoints(_ count: Int) -> [EndpointTerms] {
        (0..<count).map { EndpointTerms(.ipv4(address: 0x0a00_0000 + UInt32($0), port: 50_051)) }
    }

    @Test("of 100 endpoints 20 are taken, each by as many of 2,000 processes as chance says")
    func fair() {
        let all = endpoints(100)
        var taken: [Int: Int] = [:]
        for seed in 0..<2_000 as Range<UInt64> {
            let subset = Subset.choose(20, of: all, seed: XXH64.hash(seed))
            #expect(subset.count == 20)
            for (index, endpoint) in all.enumerated() where subset.contains(endpoint) {
                taken[index, default: 0] += 1
            }
        }
        // 400 each, with a deviation of sqrt(2,000 × 0.2 × 0.8) = 17.9; five of them.
        for index in all.indices { #expect(abs((taken[index] ?? 0) - 400) <= 90) }
    }

    @Test("an endpoint that leaves is replaced by one, and others stay")
    func stable() {
        let all = endpoints(50)
        let before = Subset.choose(10, of: all, seed: 7)
        let left = all.filter { $0 != before[3] }
        let after = Subset.choose(10, of: left, seed: 7)
        #expect(after.count { before.contains($0) } == 9)
        #expect(Subset.choose(10, of: all.reversed(), seed: 7).count { before.contains($0) } == 10)
    }

    @Test("few endpoints are all taken", arguments: [0, 5, 6])
    func few(count: Int) {
        #expect(Subset.choose(count, of: endpoints(5), seed: 1).count == 5)
    }
}
