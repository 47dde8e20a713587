internal import Configuration
internal import Proxy
internal import Rules
internal import Wire

/// What became of the copies that routes' mirrors got, of all workers together.
struct MirrorFigures {
    /// By upstream, those that some route names as its mirror.
    private let all: [(name: String, counts: MirrorCounts)]

    init(_ facts: ProcessState.Facts) {
        let upstreams = Set((facts.snapshot?.routes ?? []).compactMap { $0.mirror?.upstream })
        let known = facts.snapshot?.upstreams ?? []
        all = upstreams.sorted().map { (known[$0].name, facts.counts[$0].mirrored) }
    }

    /// What `/upstreams` has of one.
    func members(of terms: UpstreamTerms) -> [(String, JSON)] {
        guard let counts = all.first(where: { $0.name == terms.name })?.counts else { return [] }
        let outcomes = MirrorCounts.Outcome.allCases.map {
            ("\($0.name)", JSON.number(counts.count($0)))
        }
        return [("mirrored", .object([("active", .number(counts.activeCount))] + outcomes))]
    }

    func write(to page: inout Exposition) {
        page.family("weir_upstream_mirrored", .gauge, "Copies of requests that have not ended.")
        for (name, counts) in all {
            page.sample(
                "weir_upstream_mirrored", [("upstream", name)], UInt64(clamping: counts.activeCount)
            )
        }
        page.family(
            "weir_mirrored_total", .counter,
            "Requests that a mirror was to get a copy of, by what became of that.")
        for (name, counts) in all {
            for outcome in MirrorCounts.Outcome.allCases {
                page.sample(
                    "weir_mirrored_total",
                    [("upstream", name), ("outcome", "\(outcome.name)")],
                    UInt64(clamping: counts.count(outcome)))
            }
        }
    }
}
