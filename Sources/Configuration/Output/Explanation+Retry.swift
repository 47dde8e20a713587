internal import Rules
internal import Wire

/// What is said of a route's retries.
extension Explanation {
    static func lines(about policy: RetryPolicy?, isGRPC: Bool) -> [String] {
        guard let terms = policy?.terms else {
            return ["  retry: only what no server has processed"]
        }
        var lines: [String] = []
        let what = isGRPC ? codes(terms) : statuses(terms)
        lines.append("  retry: up to \(terms.attempts) attempts, \(what)")
        if let delay = terms.hedgeDelay {
            lines.append("    hedging: another attempt after each \(Duration.describe(delay))")
        } else {
            let backoff = terms.backoff
            lines.append(
                "    backoff: \(Duration.describe(backoff.base)) to "
                    + "\(Duration.describe(backoff.max)), \(Int(backoff.multiplier)) times longer "
                    + "each time")
        }
        if terms.perTryTimeout > 0 {
            lines.append("    per try: \(Duration.describe(terms.perTryTimeout))")
        }
        lines.append(
            "    buffer: \(Size.describe(Int64(terms.bufferBytes))) of a request; budget: "
                + "\(Percent.describe(Int64(terms.budget.ratio) * 10)) of the upstream's calls and "
                + "\(terms.budget.minimum) a second")
        return lines
    }

    private static func codes(_ terms: RetryPolicy.Terms) -> String {
        let names = terms.codes.list.map { "\($0.name)" }
        return names.isEmpty ? "of no status" : "of " + names.joined(separator: ", ")
    }

    private static func statuses(_ terms: RetryPolicy.Terms) -> String {
        let names = terms.statuses.map { "\($0)" }
        let methods = terms.methods.map { String(decoding: $0, as: UTF8.self) }
        return (names.isEmpty ? "of no status" : "of " + names.joined(separator: ", "))
            + " to " + methods.joined(separator: ", ")
    }
}
