import Rules
import Testing
import Wire

/// What the design asks for, one row after the other. What takes many draws to see has tests of its
/// own: `WeightedChoiceTests`, `HashTableTests`, `SlowStartTests`.
struct Row: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let holds: @Sendable () -> Bool

    init(_ words: String, _ holds: @escaping @Sendable () -> Bool) {
        testDescription = words
        self.holds = holds
    }
}

@Suite("Balancing, row by row")
struct BalancingRowTests {
    private static let terms = LatencyTerms()
    private static let second: Int64 = 1_000_000_000

    private static func estimate(after samples: (latency: Int64, at: Int64)...) -> LatencyEstimate {
        var estimate = LatencyEstimate(terms, now: 0)
        for sample in samples { estimate.answered(sample.latency, now: sample.at, terms) }
        return estimate
    }

    private static func owners(_ count: Int) -> [HashTable.Owner] {
        (0..<count).map { HashTable.Owner(key: Array("10.0.0.\($0):1".utf8), weight: 1) }
    }

    private static func isNear(_ one: Double, _ other: Double) -> Bool {
        abs(one - other) <= abs(other) * 1e-6
    }

    static let leastRequest = [
        Row("of four or fewer all are looked at, and the fewest active wins") {
            var draws = Draws(seed: 1)
            return (0..<100).allSatisfy { _ in
                WeightedChoice([1, 1, 1, 1]).least(&draws) { [5, 4, 3, 4][$0] } == 2
            }
        },
        Row("of more two are drawn, and the one with fewer active wins: the fullest never does") {
            var draws = Draws(seed: 2)
            let choice = WeightedChoice([UInt32](repeating: 1, count: 10))
            let taken = (0..<1_000).map { _ in choice.least(&draws) { Double($0) } }
            return !taken.contains(9) && Set(taken).count == 9
        },
        Row("unequal weights divide what is active") {
            var draws = Draws(seed: 3)
            return WeightedChoice([1, 3]).least(&draws) { [2, 5][$0] } == 1
        },
        Row("who can take nothing is not taken") {
            var draws = Draws(seed: 4)
            let choice = WeightedChoice([1, 1, 1])
            return choice.least(&draws) { [.infinity, 9, .infinity][$0] } == 1
        },
    ]

    static let peakEWMA = [
        Row("the cost is the estimate times those in flight and one more") {
            estimate().cost(inFlight: 3, now: 0, terms) == 4 * 30e6
        },
        Row("a slower answer is the estimate at once") {
            estimate(after: (90_000_000, 1)).value(now: 1, terms) == 90e6
        },
        Row("a faster one pulls it down by 1 - e^(-t/decay)") {
            let found = estimate(after: (80_000_000, 0), (20_000_000, 10 * second))
            let left = 0.367_879_441_17
            return isNear(found.value(now: 10 * second, terms), 80e6 * left + 20e6 * (1 - left))
        },
        Row("30 ms at first, 10 s of decay, and 5 s for what failed") {
            (terms.initial, terms.decay, terms.penalty)
                == (30_000_000, 10 * second, 5 * second)
        },
        Row("a failure that was fast counts as the penalty") {
            var found = LatencyEstimate(terms, now: 0)
            found.failed(1_000, now: 0, terms)
            return found.value(now: 0, terms) == 5e9
        },
        Row("one that is idle falls, so that it is tried again") {
            let found = estimate(after: (1_000_000_000, 0))
            return isNear(found.value(now: 20 * second, terms), 1e9 * 0.135_335_283)
        },
    ]

    static let hashes = [
        Row("XXH64 with seed 0") {
            let nothing: [UInt8] = []
            return XXH64.hash(nothing.span) == 0xef46_db37_51d8_e999
        },
        Row("a ring has 1,024 points at least and 4,096 at most") {
            HashTable.ring(owners(1)).count == 1_024 && HashTable.ring(owners(9)).count <= 4_096
        },
        Row("several hashes are one: turned left by one, and joined") {
            var hash = RequestHash()
            hash.combine(3)
            hash.combine(8)
            return hash.value == (3 << 1) ^ 8
        },
        Row("without any there is none, and chance decides") { RequestHash().value == nil },
        Row("the same hash has the same owner, whatever the order of the list") {
            let (one, other) = (owners(5), Array(owners(5).reversed()))
            let (ring, same) = (HashTable.ring(one), HashTable.ring(other))
            return (0..<500).allSatisfy { number in
                let hash = XXH64.hash(UInt64(number))
                return one[ring.owner(at: ring.start(hash))].key
                    == other[same.owner(at: same.start(hash))].key
            }
        },
        Row("a bounded load passes on what is more than its share of the average") {
            let limit = LoadLimit(percent: 125)
            return limit.allows(inFlight: 2, total: 11, share: (1, 4))
                && !limit.allows(inFlight: 5, total: 11, share: (1, 4))
        },
    ]

    static let shares = [
        Row("slow start: the weight times the progress to the power of 1 / aggression") {
            var terms = SlowStartTerms(window: 100)
            terms.aggression = 200
            return isNear(terms.share(after: 25), 0.5)
        },
        Row("slow start: a tenth at least, and all of it after the window") {
            let terms = SlowStartTerms(window: 100)
            return terms.share(after: 1) == 0.1 && terms.share(after: 100) == 1
        },
        Row("a subset is the k lowest by XXH64 of the address and the process's seed") {
            let all = (1...50).map { EndpointTerms(.ipv4(address: UInt32($0), port: 1)) }
            func hash(_ terms: EndpointTerms) -> UInt64 {
                XXH64.hash(Array("\(terms.address)".utf8).span, seed: 7)
            }
            let lowest = all.sorted { hash($0) < hash($1) }.prefix(5).map(\.address)
            return Set(Subset.choose(5, of: all, seed: 7).map(\.address)) == Set(lowest)
        },
        Row("turns come as often as weights say") {
            var rotation = WeightedRotation()
            rotation.set([1, 2, 3], draw: 5)
            var counts = [0, 0, 0]
            for _ in 0..<60 { counts[rotation.next()] += 1 }
            return counts == [10, 20, 30]
        },
        Row("panic: all are used where fewer than half are available") {
            let balance = BalanceTerms()
            return balance.isPanic(available: 1, of: 3) && !balance.isPanic(available: 1, of: 2)
        },
    ]

    @Test("by requests under way", arguments: leastRequest) func byRequests(row: Row) {
        #expect(row.holds())
    }

    @Test("by latency", arguments: peakEWMA) func byLatency(row: Row) { #expect(row.holds()) }

    @Test("by hash", arguments: hashes) func byHash(row: Row) { #expect(row.holds()) }

    @Test("by share", arguments: shares) func byShare(row: Row) { #expect(row.holds()) }
}

@Suite("Ejection, row by row")
struct EjectionRowTests {
    private static let second: Int64 = 1_000_000_000

    private static var terms: EjectionTerms {
        var terms = EjectionTerms()
        terms.jitter = 0
        return terms
    }

    private static func found(_ failures: [Int64], calls: Int64, _ terms: EjectionTerms) -> [Int] {
        let tallies = failures.map { Outliers.Tally(successes: calls - $0, failures: $0) }
        let causes = Outliers.find(tallies, terms)
        return causes.indices.filter { causes[$0] != nil }
    }

    private static var byRate: EjectionTerms {
        var rated = terms
        rated.successRate = .init()
        return rated
    }

    private static var byShare: EjectionTerms {
        var shared = terms
        shared.failureShare = .init()
        return shared
    }

    static let times = [
        Row("the interval is 10 s") { terms.interval == 10 * second },
        Row("an ejection lasts 30 s times those in a row") {
            terms.time(of: 1, draw: 0) == 30 * second && terms.time(of: 3, draw: 0) == 90 * second
        },
        Row("and 300 s at most") { terms.time(of: 50, draw: 0) == 300 * second },
        Row("or the base where that is longer") {
            var long = terms
            long.timeBase = 400 * second
            return long.time(of: 7, draw: 0) == 400 * second
        },
        Row("one is forgiven for each interval without trouble") {
            var ejection = Ejection()
            _ = ejection.eject(now: 0, terms, draw: 0)
            _ = ejection.restore(now: 1)
            _ = ejection.eject(now: 1 + 10 * second, terms, draw: 0)
            return ejection.times == 1
        },
        Row("a check that succeeds ends it, unless that is turned off") { terms.returnsOnCheck },
        Row("one call decides when its time is over") {
            var ejection = Ejection()
            _ = ejection.eject(now: 0, terms, draw: 0)
            return !ejection.beginProbe(now: 29 * second, terms)
                && ejection.beginProbe(now: 30 * second, terms)
                && !ejection.beginProbe(now: 31 * second, terms)
                && ejection.probeEnded(.succeeded, now: 32 * second, terms, draw: 0)
        },
    ]

    static let counts = [
        Row("10 % at most, but one where there are several") {
            terms.allowed(of: 40) == 4 && terms.allowed(of: 2) == 1 && terms.allowed(of: 1) == 0
        },
        Row("five failures in a row") { terms.consecutiveFailures == 5 },
        Row("INTERNAL, DATA_LOSS, DEADLINE_EXCEEDED and UNAVAILABLE count") {
            [.internalError, .dataLoss, .deadlineExceeded, .unavailable].allSatisfy {
                FailureSet.standard.contains($0 as GRPCStatus)
            }
        },
        Row("PERMISSION_DENIED and INVALID_ARGUMENT do not") {
            [.permissionDenied, .invalidArgument].allSatisfy {
                !FailureSet.standard.contains($0 as GRPCStatus)
            }
        },
        Row("HTTP's 5xx do, and no other") {
            FailureSet.standard.contains(status: 503) && !FailureSet.standard.contains(status: 499)
        },
    ]

    static let rates = [
        Row("success rate: 1.9 deviations below the mean") {
            found([50, 0, 0, 0, 0], calls: 100, byRate) == [0]
        },
        Row("success rate: five endpoints at least") {
            found([50, 0, 0, 0], calls: 100, byRate).isEmpty
        },
        Row("success rate: 100 calls of an endpoint at least") {
            found([50, 0, 0, 0, 0], calls: 99, byRate).isEmpty
        },
        Row("failure share: from 85 % on") {
            found([85, 84, 0, 0, 0], calls: 100, byShare) == [0]
        },
        Row("failure share: five endpoints at least") {
            found([100, 0, 0, 0], calls: 100, byShare).isEmpty
        },
        Row("failure share: 50 calls of an endpoint at least") {
            found([49, 0, 0, 0, 0], calls: 49, byShare).isEmpty
                && found([50, 0, 0, 0, 0], calls: 50, byShare) == [0]
        },
        Row("neither is on unless it is asked for") {
            found([100, 0, 0, 0, 0], calls: 100, terms).isEmpty
        },
    ]

    @Test("how long", arguments: times) func time(row: Row) { #expect(row.holds()) }

    @Test("how many, and for what", arguments: counts) func count(row: Row) {
        #expect(row.holds())
    }

    @Test("by rate", arguments: rates) func rate(row: Row) { #expect(row.holds()) }
}
