internal import Configuration
internal import Proxy
internal import Rules
internal import Wire

/// How an upstream's endpoints are, for the admin port and for metrics; nothing where the
/// configuration does not ask for it.
struct HealthFigures {
    private let terms: UpstreamTerms
    private let health: UpstreamHealth

    init(_ terms: UpstreamTerms, _ counts: UpstreamCounts) {
        self.terms = terms
        health = counts.health
    }

    private var isWatched: Bool {
        terms.conduct.ejection != nil || terms.conduct.healthCheck != nil
    }

    // MARK: JSON

    /// What `/upstreams` has beside the counts.
    var members: [(String, JSON)] {
        guard isWatched else { return [] }
        let now = Waiting.now()
        return [("health", .array(health.facts.map { Self.json($0, now) }))]
    }

    private static func json(_ facts: EndpointRecord.Facts, _ now: Int64) -> JSON {
        var members: [(String, JSON)] = [
            ("endpoint", .string("\(facts.address)")), ("available", .bool(facts.isAvailable)),
            ("failures_in_row", .number(Int(facts.failuresInRow))),
            ("ejections", .number(facts.ejections)),
        ]
        if let checked = facts.checked {
            members += [
                ("checked", .string("\(checked)")), ("last_check", .string(facts.lastCheck)),
            ]
        }
        if let until = facts.ejectedUntil {
            members += [
                ("ejected_for", .string(facts.cause?.name ?? "")),
                ("seconds_left", .number(Int(max(0, until - now) / 1_000_000_000))),
                ("probing", .bool(facts.isProbing)),
            ]
        }
        return .object(members)
    }

    // MARK: Metrics

    static func write(
        _ upstreams: [(UpstreamTerms, UpstreamCounts)], to page: inout Exposition
    ) {
        let watched = upstreams.map { HealthFigures($0.0, $0.1) }.filter(\.isWatched)
        page.family(
            "weir_endpoint_available", .gauge,
            "1 where requests may go: it is not ejected, and no check has failed.")
        for figures in watched { figures.writeEndpoints(to: &page) }
        page.family("weir_endpoint_ejections_total", .counter, "Ejections by what caused them.")
        for figures in watched {
            for cause in Ejection.Cause.allCases {
                page.sample(
                    "weir_endpoint_ejections_total",
                    [("upstream", figures.terms.name), ("reason", cause.name)],
                    figures.health.ejections(cause))
            }
        }
        page.family(
            "weir_endpoint_ejections_withheld_total", .counter,
            "Ejections that were not made, as enough endpoints were ejected.")
        for figures in watched {
            page.sample(
                "weir_endpoint_ejections_withheld_total", [("upstream", figures.terms.name)],
                figures.health.ejectionsWithheld)
        }
    }

    private func writeEndpoints(to page: inout Exposition) {
        for facts in health.facts {
            page.sample(
                "weir_endpoint_available",
                [("upstream", terms.name), ("endpoint", "\(facts.address)")],
                facts.isAvailable ? 1 : 0)
        }
    }
}
