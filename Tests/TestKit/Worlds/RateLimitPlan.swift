import Peers

/// A rate limit of the listener or of a route, and what must hold of it.
struct RateLimitPlan {
    enum Scope: CaseIterable { case listener, grpcRoute, plainRoute }
    enum Part: String { case source, method, key = "{header: x-key}" }

    var scope = Scope.listener
    var parts: [Part] = []
    /// In a second.
    var rate = 10
    var burst = 1
    var isDryRun = false

    init(_ chance: inout Chance) {
        scope = chance.pick(Scope.allCases)
        parts = chance.pick([[], [.source], [.method], [.key], [.source, .method]])
        (rate, burst) = chance.pick([(1, 2), (10, 1), (50, 3), (20, 6), (10_000, 40)])
        isDryRun = chance.hits(percent: 10)
    }

    /// The key of a configuration.
    var text: String {
        var text = "rate_limits: [{name: some, rate: \(rate)/s, burst: \(burst)"
        if !parts.isEmpty {
            text += ", by: [\(parts.map(\.rawValue).joined(separator: ", "))], keys: 1024"
        }
        return text + (isDryRun ? ", mode: dry_run}]\n" : "}]\n")
    }

    var listenerText: String { scope == .listener ? ", rate_limits: [some]" : "" }

    func routeText(isGRPC: Bool) -> String {
        scope == (isGRPC ? .grpcRoute : .plainRoute) ? ", rate_limits: [some]" : ""
    }

    private func holds(_ plan: CallPlan) -> Bool {
        switch scope {
        case .listener: true
        case .grpcRoute: plan.isGRPC
        case .plainRoute: !plan.isGRPC
        }
    }

    /// Who shares a bucket with it.
    private func bucket(_ call: Call) -> String {
        parts.map { part in
            switch part {
            case .source: "\(call.source)"
            case .method: "\(call.plan.path.prefix { $0 != "?" })"
            case .key: call.plan.fields.first("x-key") ?? "-"
            }
        }.joined(separator: " ")
    }

    static func isRefused(_ call: Call) -> Bool {
        guard call.outcome == .complete, call.responseFields?.first("x-origin") == nil else {
            return false
        }
        // A server's ENHANCE_YOUR_CALM is RESOURCE_EXHAUSTED as well.
        let isTold = call.responseFields?.first("grpc-retry-pushback-ms") != nil
        return call.plan.isGRPC
            ? call.responseFields?.first("grpc-status") == "8" && (isTold || call.attempts.isEmpty)
            : call.responseFields?.first(":status") == "429"
    }

    func judge(_ calls: [Call]) -> [String] {
        var faults: [String] = []
        let own = calls.filter { holds($0.plan) && $0.outcome != .notStarted }
        for (bucket, calls) in Dictionary(grouping: own, by: bucket).sorted(by: { $0.key < $1.key })
        {
            if !isDryRun { faults += judgeAdmitted(calls).map { "\(bucket): \($0)" } }
            for call in calls where Self.isRefused(call) { faults += judgeRefusal(call, calls) }
        }
        for call in calls where Self.isRefused(call) && !holds(call.plan) {
            faults.append("call \(call.id) was refused by a limit that is not its own")
        }
        return faults
    }

    /// In no window is more let through than the burst and what the rate gives meanwhile. A call
    /// was let through between its client's sending it and the proxy's sending it on.
    private func judgeAdmitted(_ calls: [Call]) -> [String] {
        let spans = calls.compactMap { call in
            call.attempts.map(\.sentBy).min().map { (from: call.sentAt, to: $0) }
        }.sorted { $0.to < $1.to }
        for start in spans.map(\.from) {
            var count = 0
            for span in spans where span.from >= start {
                count += 1
                let seconds = Double(span.to - start) / 1_000_000_000
                if Double(count) > Double(burst) + Double(rate) * seconds + 0.000_001 {
                    return ["\(count) were let through in \(seconds) s"]
                }
            }
        }
        return []
    }

    private func judgeRefusal(_ call: Call, _ all: [Call]) -> [String] {
        var faults: [String] = []
        if isDryRun { faults.append("call \(call.id) was refused by a limit that is not enforced") }
        if !call.attempts.isEmpty { faults.append("call \(call.id) was refused and sent on") }
        let name = call.plan.isGRPC ? "grpc-retry-pushback-ms" : "retry-after"
        let wait = call.responseFields?.first(name).flatMap { Int($0) } ?? 0
        if wait < 1 { faults.append("call \(call.id) was refused, and not told for how long") }
        let others = all.count { $0 !== call && $0.sentAt <= call.endedAt }
        // Workers hold a sixteenth at most, of rates that are high.
        let least = rate > 2_000 ? burst - burst / 16 : burst
        if others < least {
            faults.append("call \(call.id) was refused where \(others) others were")
        }
        return faults
    }
}
