/// Finds endpoints whose calls fail more often than they should (gRFC A50, "success rate" and
/// "failure percentage"). Performs no I/O.
public enum Outliers {
    /// What calls of one interval became.
    public struct Tally: Equatable, Sendable {
        public var successes: Int64
        public var failures: Int64

        public init(successes: Int64 = 0, failures: Int64 = 0) {
            self.successes = successes
            self.failures = failures
        }

        var calls: Int64 { successes + failures }
        var rate: Double { Double(successes) / Double(calls) }
    }

    /// For each endpoint why it is to be ejected; nil where it is not.
    public static func find(_ tallies: [Tally], _ terms: EjectionTerms) -> [Ejection.Cause?] {
        var causes = [Ejection.Cause?](repeating: nil, count: tallies.count)
        if let share = terms.failureShare {
            for index in overShare(tallies, share) { causes[index] = .failureShare }
        }
        if let rate = terms.successRate {
            for index in belowRate(tallies, rate) { causes[index] = .successRate }
        }
        return causes
    }

    /// Strictly below the threshold: where all succeed equally often, it is their rate itself.
    private static func belowRate(
        _ tallies: [Tally], _ terms: EjectionTerms.SuccessRate
    ) -> [Int] {
        let judged = judgeable(tallies, calls: terms.callsMin, endpoints: terms.endpointsMin)
        guard !judged.isEmpty else { return [] }
        let rates = judged.map { tallies[$0].rate }
        let mean = rates.reduce(0, +) / Double(rates.count)
        let variance =
            rates.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(rates.count)
        let threshold = mean - variance.squareRoot() * Double(terms.deviations) / 1_000
        return judged.filter { tallies[$0].rate < threshold }
    }

    /// At the threshold or above it.
    private static func overShare(
        _ tallies: [Tally], _ terms: EjectionTerms.FailureShare
    ) -> [Int] {
        judgeable(tallies, calls: terms.callsMin, endpoints: terms.endpointsMin).filter {
            let share = Double(tallies[$0].failures) / Double(tallies[$0].calls)
            return share >= Double(terms.threshold) / 10_000
        }
    }

    /// Endpoints with enough calls; none where too few have.
    private static func judgeable(_ tallies: [Tally], calls: Int64, endpoints: Int64) -> [Int] {
        let judged = tallies.indices.filter { tallies[$0].calls >= max(calls, 1) }
        return judged.count >= endpoints ? judged : []
    }
}
