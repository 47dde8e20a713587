import TestKit
import Testing

/// One of three servers after the other is in trouble for some 50 s, at 10 calls a second.
@Suite struct HealthSimulationTests {
    private static let second: Int64 = 1_000_000_000
    private static let seeds: ClosedRange<UInt64> = 1...4

    @Test("an endpoint whose calls fail is ejected, and returns by a probe", arguments: seeds)
    func ejection(seed: UInt64) {
        let ejection =
            "{consecutive_failures: 3, base_time: 10s, max_time: 10s, jitter: off}"
        let report = HealthSimulation(seed: seed, watched: "    ejection: \(ejection)").run()
        #expect(report.violations == [], "\(report.log)")
        for origin in report.origins {
            // What says no and works all the same is nobody's business without checks.
            if origin.trouble == "saysNo" { continue }
            // Three, those that were under way, and one for each probe of at most six.
            #expect(origin.calls <= 3 + 10 + 6, "\(origin) \(report.log)")
            let returned = origin.returnedAfter ?? .max
            #expect(returned < 12 * Self.second, "\(origin) \(report.log)")
        }
        #expect(report.failures <= 3 * (3 + 10 + 6))
        #expect(report.calls > 2_500)
    }

    @Test("an endpoint that fails its checks gets no calls until it passes them", arguments: seeds)
    func checks(seed: UInt64) {
        let check = "{grpc: {}, interval: 2s, unhealthy_interval: 500ms, timeout: 500ms}"
        let report = HealthSimulation(seed: seed, watched: "    health_check: \(check)").run()
        #expect(report.violations == [], "\(report.log)")
        for origin in report.origins where origin.trouble != "fails" {
            // An interval, two faster ones and their timeouts: 10 calls a second, a third of them.
            #expect(origin.calls <= 4 * 5, "\(origin) \(report.log)")
            let returned = origin.returnedAfter ?? .max
            #expect(returned < 3 * Self.second, "\(origin) \(report.log)")
            #expect(origin.checks > 100)
        }
    }
}
