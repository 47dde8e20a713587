import Testing

@testable import Rules

@Suite struct GradientLimitTests {
    private static let millisecond: Int64 = 1_000_000

    /// A server with so many hands, each of which takes `time` for a request; the rest queues. Its
    /// clients always have another request.
    private struct Server {
        var hands: Int
        var time: Int64
        var random: SplitMix
        private var finishing: [(at: Int64, began: Int64)] = []
        private var queue: [Int64] = []
        private(set) var refused = 0

        init(hands: Int, time: Int64, seed: UInt64) {
            self.hands = hands
            self.time = time
            random = SplitMix(seed)
        }

        var inFlight: Int { finishing.count + queue.count }

        /// A tenth of a millisecond: what is done goes, what is offered comes.
        mutating func step(_ limit: inout GradientLimit, at now: Int64, offered: Int) {
            for done in finishing where done.at <= now {
                limit.answered(after: now - done.began, at: now, draw: random.next())
            }
            finishing.removeAll { $0.at <= now }
            for _ in 0..<offered {
                guard limit.allows(besides: inFlight) else {
                    refused += 1
                    continue
                }
                queue.append(now)
            }
            while finishing.count < hands, !queue.isEmpty {
                let jitter = Int64.random(in: -(time / 10)...(time / 10), using: &random)
                finishing.append((now + time + jitter, queue.removeFirst()))
            }
        }
    }

    private static func run(
        _ limit: inout GradientLimit, _ server: inout Server, from begin: Int64, seconds: Int64,
        offered: Int = 20
    ) -> [Int] {
        var seen: [Int] = []
        var now = begin
        while now < begin + seconds * 1_000 * millisecond {
            server.step(&limit, at: now, offered: offered)
            if limit.phase == .following { seen.append(limit.limit) }
            now += millisecond / 10
        }
        return seen
    }

    private static func average(_ limits: some Collection<Int>) -> Double {
        Double(limits.reduce(0, +)) / Double(max(limits.count, 1))
    }

    @Test("the limit comes to what the server can do at once", arguments: [8, 20, 60, 150])
    func converges(hands: Int) {
        var limit = GradientLimit(GradientTerms())
        var server = Server(hands: hands, time: 10 * Self.millisecond, seed: 3)
        let seen = Self.run(&limit, &server, from: 1, seconds: 20)
        let average = Self.average(seen.suffix(50_000))
        #expect(average > Double(hands) && average < Double(hands) * 2.2 + 8, "\(average)")
        #expect(server.refused > 0)
    }

    @Test("the limit falls when the server slows down, and rises when it is back")
    func slows() {
        var terms = GradientTerms()
        terms.interval = 600_000 * Self.millisecond
        var limit = GradientLimit(terms)
        var server = Server(hands: 50, time: 10 * Self.millisecond, seed: 5)
        let before = Self.run(&limit, &server, from: 1, seconds: 20)
        server.time = 40 * Self.millisecond
        let slow = Self.run(&limit, &server, from: 20_000 * Self.millisecond, seconds: 20)
        server.time = 10 * Self.millisecond
        let after = Self.run(&limit, &server, from: 40_000 * Self.millisecond, seconds: 20)
        let averages = [before, slow, after].map { Self.average($0.suffix(50_000)) }
        #expect(averages[1] < averages[0] / 3, "\(averages)")
        #expect(averages[2] > averages[0] / 2, "\(averages)")
    }

    @Test("a limit that nobody meets does not rise")
    func unused() {
        var limit = GradientLimit(GradientTerms())
        var server = Server(hands: 100, time: 10 * Self.millisecond, seed: 7)
        var now: Int64 = 1
        for step in 0..<100_000 {
            // Some six at once.
            server.step(&limit, at: now, offered: step % 17 == 0 ? 1 : 0)
            now += Self.millisecond / 10
        }
        #expect(limit.limit <= 20)
    }

    @Test("it measures again after its interval, at the least concurrency")
    func measures() {
        var terms = GradientTerms()
        terms.interval = 2_000 * Self.millisecond
        var limit = GradientLimit(terms)
        var server = Server(hands: 30, time: 10 * Self.millisecond, seed: 9)
        var measured = 0
        var wasMeasuring = true
        var now: Int64 = 1
        while now < 20_000 * Self.millisecond {
            server.step(&limit, at: now, offered: 20)
            if limit.phase == .measuring {
                #expect(limit.limit == terms.least)
                wasMeasuring = true
            } else if wasMeasuring {
                wasMeasuring = false
                measured += 1
            }
            now += Self.millisecond / 10
        }
        #expect((8...11).contains(measured), "\(measured)")
        #expect(limit.shortest < 13 * Self.millisecond)
    }

    private static let parts: [(least: Int, most: Int, workers: Int, Int, Int)] = [
        (4, 1_000, 1, 4, 1_000), (4, 1_000, 8, 1, 125), (3, 10, 2, 2, 5), (1, 1, 16, 1, 1),
    ]

    @Test("workers share the bounds", arguments: parts)
    func sharing(least: Int, most: Int, workers: Int, eachLeast: Int, eachMost: Int) {
        var terms = GradientTerms()
        terms.least = least
        terms.most = most
        let part = terms.shared(by: workers)
        #expect(part.least == eachLeast && part.most == eachMost)
    }

    @Test(
        "a sketch knows the median to within a sixteenth",
        arguments: [1_500, 40_000, 1_000_000, 33_333_333, 9_000_000_000] as [Int64])
    func sketch(time: Int64) {
        var sketch = LatencySketch()
        #expect(sketch.median == 0)
        for part in 0..<101 as Range<Int64> { sketch.add(time / 100 * (50 + part)) }
        let error = Double(sketch.median - time) / Double(time)
        #expect(abs(error) < 0.0725, "\(error)")
        sketch.add(0)
        sketch.add(.max)
        #expect(sketch.count == 103)
    }
}
