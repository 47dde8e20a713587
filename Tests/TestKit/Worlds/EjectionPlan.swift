import Peers

/// How endpoints are ejected for what their calls came to, and what must hold of it.
struct EjectionPlan {
    var failuresInRow = 1
    /// Milliseconds.
    var baseTime: Int64 = 50
    var interval: Int64 = 100
    /// Of 100 endpoints.
    var share = 34
    /// gRPC's codes, by number, and whether plain HTTP's 5xx count.
    var codes: [Int] = []
    var countsServerErrors = true
    /// An origin whose gRPC calls fail, all of them.
    var failing: Int?

    private static let names = [
        1: "CANCELLED", 4: "DEADLINE_EXCEEDED", 5: "NOT_FOUND", 8: "RESOURCE_EXHAUSTED",
        13: "INTERNAL", 14: "UNAVAILABLE",
    ]

    init(_ chance: inout Chance) {
        failuresInRow = chance.within(1...2)
        baseTime = Int64(chance.pick([20, 100, 400]))
        interval = Int64(chance.pick([50, 500]))
        share = chance.pick([10, 34, 67, 100])
        codes = chance.pick([[14], [14, 13, 4], [5, 13], [5, 14, 13, 1, 8, 4], [5, 14, 13]])
        countsServerErrors = chance.hits(percent: 70)
        if chance.hits(percent: 70) { failing = chance.below(3) }
    }

    var text: String {
        ", ejection: {consecutive_failures: \(failuresInRow), base_time: \(baseTime)ms, "
            + "max_time: \(baseTime * 4)ms, interval: \(interval)ms, max_ejected: \(share)%}"
    }

    func routeText(isGRPC: Bool) -> String {
        let list = codes.compactMap { Self.names[$0] }.joined(separator: ", ")
        let statuses = countsServerErrors ? "5xx" : "599"
        return ", failures: {codes: [\(list)], statuses: [\(statuses)]}"
    }

    /// What an origin answers in place of that.
    func changed(_ plan: ReplyPlan, by origin: Int, isGRPC: Bool) -> ReplyPlan {
        guard origin == failing, isGRPC, plan.end == .complete else { return plan }
        var plan = plan
        plan.trailers.removeAll { $0.name == "grpc-status" }
        plan.trailers.append(HeaderField("grpc-status", "\(codes[0])"))
        return plan
    }

    /// docs/health.md: the share, rounded down, but one where there are several.
    func allowed(of endpoints: Int) -> Int {
        endpoints > 1 ? max(1, endpoints * share / 100) : 0
    }

    /// The longest that an ejection may last; nanoseconds.
    var longest: Int64 { baseTime * 4 * 1_100_000 + 2_000_000 }
}

extension Oracle {
    /// What is wrong with the ejections that the proxy tells of.
    func judgeEjections(_ calls: [Call]) -> [String] {
        guard let plan = features.ejection, !isDirect else { return [] }
        return judgeCap(plan) + judgeReasons(plan, calls) + judgeProbes(plan, calls)
            + judgeReturns(plan, calls)
    }

    private func judgeCap(_ plan: EjectionPlan) -> [String] {
        var faults: [String] = []
        var ejected: Set<Place> = []
        for event in health.events {
            switch event.kind {
            case .returned: ejected.remove(event.place)
            case .ejected:
                ejected.insert(event.place)
                let upstream = event.place.upstream
                let sizes = lists.around(event.at, upstream).map(\.count)
                // Those that left may be remembered, and then count.
                let present = ejected.filter { place in
                    place.upstream == upstream
                        && !lists.hasLeft(place, between: 0, and: event.at)
                }
                let allowed = plan.allowed(of: sizes.max() ?? 0)
                if present.count > allowed {
                    faults.append("\(present.count) of \(sizes) endpoints were ejected")
                }
            default: break
            }
        }
        return faults
    }

    /// Enough in a row must be what the route takes for a failure, the last of them at that moment.
    private func judgeReasons(_ plan: EjectionPlan, _ calls: [Call]) -> [String] {
        health.events.filter { $0.kind == .ejected(isByProbe: false) }.compactMap { event in
            guard isSteady(event.place), !mayLoseAttempts, event.at < closedAt else { return nil }
            var spans: [(from: Int64, to: Int64)] = []
            var lastSuccess = Int64.min
            for call in calls {
                for attempt in call.attempts where attempt.place == event.place {
                    if mayHaveFailed(call, attempt, plan) {
                        spans.append(judgedWithin(call, attempt))
                    } else if let time = succeededAt(call, attempt), time < event.at {
                        lastSuccess = max(lastSuccess, time)
                    }
                }
            }
            let count = spans.count { lastSuccess <= $0.to && $0.from <= event.at }
            let isNow = spans.contains { $0.from <= event.at && event.at <= $0.to }
            if count >= plan.failuresInRow, isNow { return nil }
            return "\(event.place) was ejected for \(count) failures in a row"
        }
    }

    /// When the proxy knew what became of it: not before the answer came, unless it gave it up.
    private func judgedWithin(_ call: Call, _ attempt: AttemptRecord) -> (from: Int64, to: Int64) {
        let from = isLeftAlone(call) ? min(attempt.mayBeHeardAt, .max - 1) : attempt.sentAt
        return (from, attempt.isVague ? .max : attempt.heardAt ?? attempt.givenUpAt ?? .max)
    }

    /// When it was known that it came to no failure; nil where that is not certain.
    private func succeededAt(_ call: Call, _ attempt: AttemptRecord) -> Int64? {
        guard let time = attempt.heardAt, attempt.responseEnded, isLeftAlone(call),
            call.outcome == .complete, call.endedAt > time
        else { return nil }
        return min(time, attempt.mayBeHeardAt)
    }

    /// None of its attempts is given up before its answer.
    private func isLeftAlone(_ call: Call) -> Bool {
        call.plan.timeout == nil && call.plan.cancel == .never && retry?.perTry == nil
            && retry?.hedge == nil
    }

    /// At an origin to which nothing happens: no connection is lost there.
    private func mayHaveFailed(_ call: Call, _ attempt: AttemptRecord, _ plan: EjectionPlan) -> Bool
    {
        guard call.plan.isGRPC else {
            guard plan.countsServerErrors else { return false }
            if attempt.resetByOrigin != nil { return true }
            if retry?.perTry != nil { return true }
            return attempt.plan.fields.first(":status")?.hasPrefix("5") ?? false
        }
        var codes: Set<Int> = []
        if let code = attempt.resetByOrigin { codes.insert(Self.status(ofReset: code)) }
        if call.plan.timeout != nil || retry?.perTry != nil { codes.insert(4) }
        let isBare = attempt.plan.end == .headersOnly
        let fields = isBare ? attempt.plan.fields : attempt.plan.trailers
        if let code = fields.first("grpc-status").flatMap({ Int($0) }) { codes.insert(code) }
        return !codes.isDisjoint(with: plan.codes)
    }

    /// While one call decides whether an endpoint returns, others keep away, for an interval.
    private func judgeProbes(_ plan: EjectionPlan, _ calls: [Call]) -> [String] {
        guard !mayLoseAttempts else { return [] }
        let attempts = calls.flatMap(\.attempts).filter { !$0.isVague }
        var faults: [String] = []
        for place in Set(health.events.map(\.place)) where isSteady(place) {
            for period in health.ejections(of: place) {
                let inside = attempts.filter {
                    $0.place == place && period.from < $0.sentAt && $0.sentBy < period.until
                        && !mayBeAnyones(place, at: $0.sentAt, besides: $0)
                }.sorted { $0.sentAt < $1.sentAt }
                for (first, second) in zip(inside, inside.dropFirst())
                where second.sentBy - first.sentAt < plan.interval * 1_000_000
                    && (first.endedAt ?? .max) > second.sentBy
                {
                    faults.append("\(place) was probed by two calls at once")
                }
            }
        }
        return faults
    }

    /// Where calls go on, one of them is sent to an endpoint whose time is over.
    private func judgeReturns(_ plan: EjectionPlan, _ calls: [Call]) -> [String] {
        guard !mayLoseAttempts, features.checks == nil, features.breakers == nil,
            features.discovery == nil, features.adaptive == nil
        else { return [] }
        let attempts = calls.flatMap(\.attempts).filter { !$0.isVague }
        var faults: [String] = []
        for event in health.events where event.isEjection && isSteady(event.place) {
            let due = event.at + plan.longest + 250_000_000
            let isOver = health.events.contains {
                $0.place == event.place && $0.at > event.at && $0.at <= due
            }
            let later = attempts.filter {
                $0.place.upstream == event.place.upstream && $0.sentAt > due
                    && $0.connection?.worker == event.worker
            }
            // The first asks for a connection where there is none.
            let spread = (later.map(\.sentAt).max() ?? 0) - (later.map(\.sentAt).min() ?? 0)
            let isAsked = attempts.contains { $0.place == event.place && $0.sentAt > event.at }
            if !isOver, !isAsked, later.count > 2, spread > 300_000_000 {
                faults.append("\(event.place) was never asked again after its ejection")
            }
        }
        return faults
    }
}
