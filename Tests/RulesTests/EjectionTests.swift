import Rules
import Testing

@Suite struct EjectionTests {
    private static let second: Int64 = 1_000_000_000

    private var terms: EjectionTerms {
        var terms = EjectionTerms()
        terms.jitter = 0
        return terms
    }

    @Test("the defaults are those that Envoy and gRFC A50 share, but for jitter")
    func defaults() {
        let terms = EjectionTerms()
        #expect(terms.interval == 10 * Self.second)
        #expect(terms.timeBase == 30 * Self.second)
        #expect(terms.timeMax == 300 * Self.second)
        #expect(terms.shareMax == 1_000)
        #expect(terms.consecutiveFailures == 5)
        #expect(terms.returnsOnCheck)
        #expect(terms.successRate == nil && terms.failureShare == nil)
        let rate = EjectionTerms.SuccessRate()
        #expect((rate.deviations, rate.endpointsMin, rate.callsMin) == (1_900, 5, 100))
        let share = EjectionTerms.FailureShare()
        #expect((share.threshold, share.endpointsMin, share.callsMin) == (8_500, 5, 50))
    }

    @Test(
        "an ejection lasts base time times its number, up to the maximum or the base if larger",
        arguments: [
            (30, 300, 1, 30), (30, 300, 2, 60), (30, 300, 10, 300), (30, 300, 11, 300),
            (30, 300, 1_000_000, 300), (60, 10, 1, 60), (60, 10, 5, 60), (30, 300, 0, 30),
            (86_400, 86_400, 1_000_000, 86_400),
        ] as [(Int64, Int64, Int, Int64)])
    func times(base: Int64, max: Int64, ejection: Int, expected: Int64) {
        var terms = terms
        terms.timeBase = base * Self.second
        terms.timeMax = max * Self.second
        #expect(terms.time(of: ejection, draw: .max) == expected * Self.second)
    }

    @Test("jitter only adds, and no more than its share", arguments: [0, 1, 12_345, UInt64.max])
    func jitter(draw: UInt64) {
        var terms = terms
        terms.jitter = 1_000
        let time = terms.time(of: 1, draw: draw)
        #expect(time >= 30 * Self.second)
        #expect(time <= 33 * Self.second)
    }

    @Test(
        "a share of the endpoints may be ejected, one where there are several, never the only one",
        arguments: [
            (0, 10, 0), (1, 10, 0), (2, 10, 1), (9, 10, 1), (10, 10, 1), (19, 10, 1), (20, 10, 2),
            (30, 10, 3), (3, 50, 1), (4, 50, 2), (3, 100, 3), (1, 100, 0), (10_000, 10, 1_000),
        ])
    func allowed(endpoints: Int, percent: Int64, expected: Int) {
        var terms = terms
        terms.shareMax = percent * 100
        #expect(terms.allowed(of: endpoints) == expected)
    }

    @Test("an ejected endpoint is due when its time is over, and one call alone decides")
    func probe() {
        var ejection = Ejection()
        let is1 = ejection.eject(now: 0, terms, draw: 0)
        #expect(is1)
        let is2 = ejection.eject(now: 1, terms, draw: 0)
        #expect(!is2)
        #expect(ejection.until == 30 * Self.second)
        let is3 = ejection.beginProbe(now: 30 * Self.second - 1, terms)
        #expect(!is3)
        let is4 = ejection.beginProbe(now: 30 * Self.second, terms)
        #expect(is4)
        let is5 = ejection.beginProbe(now: 30 * Self.second, terms)
        #expect(!is5)
        #expect(ejection.isEjected && ejection.isProbing)
        let is6 = ejection.probeEnded(.succeeded, now: 31 * Self.second, terms, draw: 0)
        #expect(is6)
        #expect(!ejection.isEjected)
    }

    @Test("a probe that fails ejects for longer")
    func failedProbe() {
        var ejection = Ejection()
        _ = ejection.eject(now: 0, terms, draw: 0)
        _ = ejection.beginProbe(now: 30 * Self.second, terms)
        let is7 = ejection.probeEnded(.failed, now: 30 * Self.second, terms, draw: 0)
        #expect(!is7)
        #expect(ejection.until == 90 * Self.second)
        #expect(ejection.times == 2)
    }

    @Test("a probe whose caller left lets the next call decide")
    func lostProbe() {
        var ejection = Ejection()
        _ = ejection.eject(now: 0, terms, draw: 0)
        _ = ejection.beginProbe(now: 30 * Self.second, terms)
        let is8 = ejection.probeEnded(.lost, now: 31 * Self.second, terms, draw: 0)
        #expect(!is8)
        #expect(ejection.isEjected)
        #expect(ejection.times == 1)
        let is9 = ejection.beginProbe(now: 31 * Self.second, terms)
        #expect(is9)
    }

    @Test("a probe that does not end leaves the decision to another after an interval")
    func hangingProbe() {
        var ejection = Ejection()
        _ = ejection.eject(now: 0, terms, draw: 0)
        _ = ejection.beginProbe(now: 30 * Self.second, terms)
        let is10 = ejection.beginProbe(now: 40 * Self.second - 1, terms)
        #expect(!is10)
        let is11 = ejection.beginProbe(now: 40 * Self.second, terms)
        #expect(is11)
    }

    @Test(
        "each interval without trouble forgives one earlier ejection",
        arguments: [(0, 4), (9, 4), (10, 3), (29, 2), (30, 1), (3_600, 1)] as [(Int64, Int)])
    func forgiving(seconds: Int64, expected: Int) {
        var ejection = Ejection()
        var now: Int64 = 0
        for _ in 0..<3 {
            _ = ejection.eject(now: now, terms, draw: 0)
            now = ejection.until ?? 0
            _ = ejection.restore(now: now)
        }
        #expect(ejection.times == 3)
        _ = ejection.eject(now: now + seconds * Self.second, terms, draw: 0)
        #expect(ejection.times == expected)
    }

    @Test("what is not ejected has no probe and nothing to return from")
    func serving() {
        var ejection = Ejection()
        let is12 = ejection.beginProbe(now: .max, terms)
        #expect(!is12)
        let is13 = ejection.probeEnded(.failed, now: 0, terms, draw: 0)
        #expect(!is13)
        let is14 = ejection.restore(now: 0)
        #expect(!is14)
        #expect(ejection == Ejection())
    }
}
