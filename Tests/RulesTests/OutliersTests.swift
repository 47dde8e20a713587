import Rules
import Testing

@Suite struct OutliersTests {
    typealias Tally = Outliers.Tally

    private static func tallies(_ failures: [Int64], of calls: Int64 = 100) -> [Tally] {
        failures.map { Tally(successes: calls - $0, failures: $0) }
    }

    @Test(
        "an endpoint below the mean by 1.9 standard deviations is ejected",
        arguments: [
            // All alike: their rate is the threshold itself.
            ([0, 0, 0, 0, 0], []), ([30, 30, 30, 30, 30], []), ([100, 100, 100, 100, 100], []),
            // One of five is never further away than 2 deviations, one of six 2.2.
            ([50, 0, 0, 0, 0], [0]), ([0, 0, 0, 0, 0, 1], [5]), ([40, 40, 0, 0, 0, 0], []),
            // A better one is no outlier.
            ([50, 50, 50, 50, 50, 0], []),
        ] as [([Int64], [Int])])
    func successRate(failures: [Int64], ejected: [Int]) {
        var terms = EjectionTerms()
        terms.successRate = .init()
        #expect(found(failures, terms) == ejected)
    }

    @Test(
        "an endpoint that reaches the share of failures is ejected, whatever the others do",
        arguments: [
            ([84, 0, 0, 0, 0], []), ([85, 0, 0, 0, 0], [0]),
            ([100, 100, 100, 100, 100], [0, 1, 2, 3, 4]), ([90, 0, 0, 0], []),
        ] as [([Int64], [Int])])
    func failureShare(failures: [Int64], ejected: [Int]) {
        var terms = EjectionTerms()
        terms.failureShare = .init()
        #expect(found(failures, terms) == ejected)
    }

    @Test("an endpoint with few calls is not judged, and does not count among those needed")
    func volume() {
        var terms = EjectionTerms()
        terms.successRate = .init()
        terms.failureShare = .init()
        var tallies = Self.tallies([100, 0, 0, 0, 0])
        tallies[0] = Tally(successes: 0, failures: 49)
        #expect(Outliers.find(tallies, terms) == [nil, nil, nil, nil, nil])
        // Enough for its share, not for its rate.
        tallies[0] = Tally(successes: 0, failures: 50)
        #expect(Outliers.find(tallies, terms) == [.failureShare, nil, nil, nil, nil])
        tallies[0] = Tally(successes: 0, failures: 100)
        #expect(Outliers.find(tallies, terms) == [.successRate, nil, nil, nil, nil])
    }

    @Test("nobody is judged where nothing asks for it, or where there are no calls")
    func nothing() {
        #expect(
            Outliers.find(Self.tallies([100, 0, 0, 0, 0]), EjectionTerms()).allSatisfy { $0 == nil }
        )
        var terms = EjectionTerms()
        terms.successRate = .init()
        terms.successRate?.callsMin = 0
        terms.successRate?.endpointsMin = 0
        #expect(Outliers.find([Tally(), Tally()], terms) == [nil, nil])
        #expect(Outliers.find([], terms).isEmpty)
    }

    private func found(_ failures: [Int64], _ terms: EjectionTerms) -> [Int] {
        let causes = Outliers.find(Self.tallies(failures), terms)
        return causes.indices.filter { causes[$0] != nil }
    }
}
