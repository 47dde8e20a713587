import Rules
import Testing

@Suite struct CheckedHealthTests {
    typealias Result = CheckedHealth.Result

    private static let told = Result.told(serving: true)
    private static let toldNot = Result.told(serving: false)

    @Test(
        "results make an endpoint healthy and unhealthy by the thresholds",
        arguments: [
            ([], .unknown), ([.well], .healthy), ([.failed], .unknown),
            ([.failed, .failed], .unknown), ([.failed, .failed, .failed], .unhealthy),
            ([.failed, .failed, .well], .healthy),
            // A success between begins the count again.
            ([.well, .failed, .failed, .well, .failed, .failed], .healthy),
            ([.well, .failed, .failed, .failed], .unhealthy),
            ([.failed, .failed, .failed, .well], .unhealthy),
            ([.failed, .failed, .failed, .well, .failed, .well], .unhealthy),
            ([.failed, .failed, .failed, .well, .well], .healthy),
            // What a server says of itself needs no second opinion.
            ([.notServing], .unhealthy), ([.well, .notServing], .unhealthy),
            ([.well, .notServing, .well], .unhealthy),
            ([.well, .notServing, .well, .well], .healthy),
            ([.well, toldNot], .unhealthy), ([.well, toldNot, told], .healthy),
            ([told], .healthy), ([toldNot, .failed, told], .healthy),
        ] as [([Result], CheckedHealth.State)])
    func thresholds(results: [Result], expected: CheckedHealth.State) {
        let terms = HealthCheckTerms(.tcp)
        var health = CheckedHealth()
        for result in results { _ = health.take(result, terms) }
        #expect(health.state == expected)
    }

    @Test("a change is told once")
    func changes() {
        let terms = HealthCheckTerms(.tcp)
        var health = CheckedHealth()
        let results: [Result] = [.well, .well, .failed, .failed, .failed, .failed, .well, .well]
        let changes = results.map { health.take($0, terms) }
        #expect(changes == [true, false, false, false, true, false, false, true])
    }

    @Test(
        "checks come faster once something is wrong, and until something is known",
        arguments: [
            ([], 1), ([.well], 5), ([.well, .failed], 1), ([.well, .failed, .well], 5),
            ([.notServing], 1), ([.notServing, .well], 1), ([.notServing, .well, .well], 5),
        ] as [([Result], Int64)])
    func recovery(results: [Result], seconds: Int64) {
        var terms = HealthCheckTerms(.tcp)
        terms.intervals.jitter = 0
        var health = CheckedHealth()
        for result in results { _ = health.take(result, terms) }
        #expect(health.delay(terms.intervals, draw: .max) == seconds * 1_000_000_000)
    }

    @Test("jitter goes either way", arguments: [0, 1, 77_777_777, UInt64.max])
    func jitter(draw: UInt64) {
        let terms = HealthCheckTerms(.tcp)
        let delay = CheckedHealth().delay(terms.intervals, draw: draw)
        #expect(delay >= 900_000_000)
        #expect(delay <= 1_100_000_000)
    }
}
