internal import Configuration
internal import Proxy
internal import Rules

/// What the rate limits of the configuration in use have done, of all workers together.
struct RateLimitFigures {
    struct Figures {
        let limit: RateLimit
        let buckets: BucketTable
        var allowed: UInt64 = 0
        var limited: UInt64 = 0
        var wouldLimit: UInt64 = 0
        var failed: UInt64 = 0

        var name: String { limit.name }
        var evictions: UInt64 { buckets.evicted }
        var outcomes: [(String, UInt64)] {
            [("allowed", allowed)]
                + (limit.isDryRun ? [("would_limit", wouldLimit)] : [("limited", limited)])
                + (limit.service == nil ? [] : [("failed", failed)])
        }
    }

    private(set) var all: [Figures] = []

    init(_ facts: ProcessState.Facts) {
        guard let snapshot = facts.snapshot else { return }
        let counts = facts.workers.flatMap(\.counters.rateLimits.all)
        for (limit, buckets) in zip(snapshot.rateLimits, facts.buckets) {
            var figures = Figures(limit: limit, buckets: buckets)
            for count in counts where count.limit == limit.name {
                figures.allowed &+= count[.allowed]
                figures.limited &+= count[.limited]
                figures.wouldLimit &+= count[.wouldLimit]
                figures.failed &+= count[.failed]
            }
            all.append(figures)
        }
    }

    /// For the administration interface.
    var json: JSON {
        let now = Waiting.now()
        return .array(
            all.map { figures in
                var members: [(String, JSON)] = [
                    ("name", .string(figures.name)),
                    ("by", .array(figures.limit.parts.map { .string($0.words) })),
                    ("dry_run", .bool(figures.limit.isDryRun)),
                ]
                if let service = figures.limit.service {
                    let domain = String(decoding: service.domain, as: UTF8.self)
                    members.append(("domain", .string(domain)))
                } else {
                    members += [
                        ("rate", .string(figures.limit.rateWords)),
                        ("burst", .number(Int(figures.limit.burst))),
                        ("keys", .number(figures.limit.keys)),
                        ("keys_in_use", .number(figures.buckets.used(at: now))),
                        ("evictions", .number(Int(figures.evictions))),
                    ]
                }
                for (outcome, count) in figures.outcomes {
                    members.append((outcome, .number(Int(count))))
                }
                return .object(members)
            })
    }
}
