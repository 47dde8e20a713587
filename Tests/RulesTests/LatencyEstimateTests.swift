import Rules
import Testing

@Suite("Latency estimates")
struct LatencyEstimateTests {
    private let terms = LatencyTerms()
    private static let millisecond: Int64 = 1_000_000
    private static let second: Int64 = 1_000_000_000

    private func value(_ estimate: LatencyEstimate, at now: Int64) -> Double {
        estimate.value(now: now, terms) / Double(Self.millisecond)
    }

    @Test("an endpoint that has not answered is taken to need the initial latency")
    func initial() {
        let estimate = LatencyEstimate(terms, now: 5)
        #expect(value(estimate, at: 5) == 30)
        #expect(estimate.cost(inFlight: 2, now: 5, terms) == 90e6)
    }

    @Test("a slower answer is believed at once, a faster one by the time between")
    func peak() {
        var estimate = LatencyEstimate(terms, now: 0)
        estimate.answered(200 * Self.millisecond, now: 0, terms)
        #expect(value(estimate, at: 0) == 200)
        estimate.answered(10 * Self.millisecond, now: 10 * Self.second, terms)
        // 200/e + 10 (1 - 1/e).
        #expect(abs(value(estimate, at: 10 * Self.second) - 79.896) < 0.01)
    }

    @Test("without answers an estimate falls by 1/e in each decay time")
    func idle() {
        var estimate = LatencyEstimate(terms, now: 0)
        estimate.answered(1_000 * Self.millisecond, now: 0, terms)
        #expect(abs(value(estimate, at: 10 * Self.second) - 367.879) < 0.01)
        #expect(abs(value(estimate, at: 30 * Self.second) - 49.787) < 0.01)
    }

    @Test("a fast failure counts as slow")
    func failure() {
        var estimate = LatencyEstimate(terms, now: 0)
        estimate.failed(Self.millisecond, now: 1, terms)
        #expect(value(estimate, at: 1) == 5_000)
    }

    @Test("who gave up after less than the estimate has told nothing, after more a lower bound")
    func gaveUp() {
        var estimate = LatencyEstimate(terms, now: 0)
        estimate.gaveUp(10 * Self.millisecond, now: 0, terms)
        #expect(value(estimate, at: 0) == 30)
        estimate.gaveUp(400 * Self.millisecond, now: 0, terms)
        #expect(value(estimate, at: 0) == 400)
    }

    @Test("a clock that stands still, and answers of no time, leave a sound estimate")
    func odd() {
        var estimate = LatencyEstimate(terms, now: 100)
        estimate.answered(-5, now: 50, terms)
        estimate.answered(0, now: 100, terms)
        let left = value(estimate, at: 0)
        #expect(left >= 0 && left <= 30)
    }
}

@Suite("Exponential")
struct ExponentialTests {
    @Test(
        "falls as e to the power of minus x",
        arguments: [(0, 1), (1, 0.367_879_441), (0.5, 0.606_530_660), (20, 2.061_153_622e-9)])
    func decay(exponent: Double, expected: Double) {
        #expect(abs(Exponential.decay(exponent) - expected) <= expected * 1e-8)
    }

    @Test(
        "powers of fractions",
        arguments: [(0.5, 1, 0.5), (0.5, 2, 0.25), (0.81, 0.5, 0.9), (0.001, 0.333_333_333, 0.1)])
    func power(base: Double, exponent: Double, expected: Double) {
        #expect(abs(Exponential.power(base, exponent) - expected) <= expected * 1e-8)
    }

    @Test("far beyond what a Double holds there is 0")
    func extremes() {
        #expect(Exponential.decay(1e9) == 0)
        #expect(Exponential.power(0, 2) == 0)
        #expect(Exponential.power(1, 3) == 1)
    }
}
