import Testing
import Wire

@testable import Control

@Suite struct ExpositionTests {
    @Test("samples are written as Prometheus' text format has them")
    func samples() {
        var page = Exposition()
        page.family("weir_things_total", .counter, "Things.")
        page.sample("weir_things_total", [("name", "a\\b\"c\nd")], 7)
        page.sample("weir_age_seconds", seconds: 1_500_000_000)
        let lines = [
            "# HELP weir_things_total Things.", "# TYPE weir_things_total counter",
            #"weir_things_total{name="a\\b\"c\nd"} 7"#, "weir_age_seconds 1.5", "",
        ]
        #expect(String(decoding: page.bytes, as: UTF8.self) == lines.joined(separator: "\n"))
    }

    @Test("a histogram's buckets add up, the last holds all")
    func histogram() {
        var page = Exposition()
        page.histogram("h", [], bounds: [1_000, 1_000_000_000], buckets: [1, 0, 2], sum: 3)
        let lines = [
            #"h_bucket{le="0.000001"} 1"#, #"h_bucket{le="1"} 1"#, #"h_bucket{le="+Inf"} 3"#,
            "h_sum 0.000000003", "h_count 3", "",
        ]
        #expect(String(decoding: page.bytes, as: UTF8.self) == lines.joined(separator: "\n"))
    }
}

@Suite struct UTCTests {
    @Test(
        "points in time are written as RFC 3339 has them",
        arguments: [
            (Int64(0), "1970-01-01T00:00:00Z"), (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_799, "2000-02-29T23:59:59Z"), (1_704_067_199, "2023-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ])
    func text(_ seconds: Int64, _ expected: String) {
        #expect(UTC.text(seconds * 1_000_000_000 + 999_999_999) == expected)
    }
}
