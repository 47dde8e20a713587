import Peers
import Wire

/// How endpoints are asked how they are, how they are meanwhile, and what must hold of it.
struct CheckPlan {
    enum Kind: CaseIterable { case grpc, watch, http, tcp }
    enum Trouble { case saysNo, fails, hangs }

    struct Period {
        let origin: Int
        let from: Int64
        let until: Int64
        let trouble: Trouble
    }

    var kind = Kind.grpc
    /// Milliseconds.
    var interval: Int64 = 100
    var unhealthyInterval: Int64 = 20
    var timeout: Int64 = 1_000
    var healthy = 1
    var unhealthy = 1
    var waitsForFirst = false
    var periods: [Period] = []
    /// So many checks after so many others are disowned by GOAWAY; 0 is none.
    var disowned = 0
    /// How long there are checks, from the beginning.
    static let span: Int64 = 2_500_000_000

    init(_ chance: inout Chance) {
        kind = chance.pick(Kind.allCases)
        interval = Int64(chance.pick([100, 300]))
        unhealthyInterval = Int64(chance.pick([30, 100]))
        healthy = chance.within(1...3)
        unhealthy = chance.within(1...3)
        waitsForFirst = chance.hits(percent: 20)
        for origin in 0..<3 where chance.hits(percent: 50) {
            let from = chance.within(Int64(0)...1_500_000_000)
            let until = from + chance.within(Int64(100_000_000)...1_000_000_000)
            let trouble = chance.pick([.saysNo, .fails, .fails, .hangs] as [Trouble])
            periods.append(Period(origin: origin, from: from, until: until, trouble: trouble))
        }
        if chance.hits(percent: 40) { disowned = chance.within(2...5) }
    }

    var text: String {
        let what =
            switch kind {
            case .grpc: "grpc: {}"
            case .watch: "grpc: {watch: true}"
            case .http: "http: {path: /healthz}"
            case .tcp: "tcp: {}"
            }
        return ", health_check: {\(what), interval: \(interval)ms, "
            + "unhealthy_interval: \(unhealthyInterval)ms, timeout: \(timeout)ms, "
            + "healthy: \(healthy), unhealthy: \(unhealthy)"
            + (waitsForFirst ? ", before_first: wait}" : "}")
    }

    struct Reply {
        let fields: [HeaderField]
        /// Nil where there is none: the fields are all.
        var message: [UInt8]?
        let means: Sightings.Check.Answer
    }

    /// What an origin answers.
    func answer(in trouble: Trouble?) -> Reply {
        guard kind != .http else {
            let status = trouble == nil ? "200" : "503"
            return Reply(
                fields: [HeaderField(":status", status)], means: trouble == nil ? .well : .failed)
        }
        let fields = [
            HeaderField(":status", "200"), HeaderField("content-type", "application/grpc"),
        ]
        switch trouble {
        case nil:
            let message = HealthMessage.response(.serving)
            return Reply(fields: fields, message: message, means: .well)
        case .saysNo:
            let message = HealthMessage.response(.notServing)
            return Reply(fields: fields, message: message, means: .notServing)
        case .fails, .hangs:
            return Reply(fields: fields + [HeaderField("grpc-status", "2")], means: .failed)
        }
    }

    func disowns(_ number: Int) -> Bool { disowned > 0 && number / disowned % 2 == 1 }

    /// What an origin is in, so long after the beginning.
    func trouble(of origin: Int, at time: Int64) -> Trouble? {
        periods.first { $0.origin == origin && $0.from <= time && time < $0.until }?.trouble
    }
}

extension Oracle {
    func judgeChecks(_ sightings: Sightings) -> [String] {
        guard let plan = features.checks, !isDirect else { return [] }
        let checks = sightings.checks.sorted { $0.sentAt < $1.sentAt }
        var faults = judgeSurvivors(checks)
        for upstream in 0..<upstreams {
            for origin in 0..<origins {
                let place = Place(upstream: upstream, origin: origin)
                let own = checks.filter { $0.place == place && !$0.isWatch }
                faults += judgeRate(plan, own)
                guard isGraceful(place), !mayLoseAttempts, plan.kind != .tcp else { continue }
                faults += judgeVerdicts(plan, place, own)
                if !isSteady(place) || lists.hasLeft(place, between: 0, and: .max) { continue }
                faults += judgeNews(plan, place, own)
            }
        }
        return faults
    }

    /// None is sent once there is nobody any more to ask for it.
    private func judgeSurvivors(_ checks: [Sightings.Check]) -> [String] {
        checks.filter { check in
            if check.sentAt > checksOverAt { return true }
            let known = lists.around(check.sentAt, check.place.upstream)
            return !known.contains { $0.contains(check.place) }
        }.map { "a check of \($0.place) came that nobody asked for" }
    }

    /// Never sooner than the shortest time between two, less its jitter.
    private func judgeRate(_ plan: CheckPlan, _ checks: [Sightings.Check]) -> [String] {
        let least = min(plan.interval, plan.unhealthyInterval) * 900_000 - 1_000_000
        return zip(checks, checks.dropFirst()).compactMap { first, second in
            guard second.sentBy - first.sentAt < least, !first.wasLost,
                installations(from: first.sentAt, to: second.sentBy).count == 1,
                !lists.hasLeft(first.place, between: first.sentAt, and: second.sentBy)
            else { return nil }
            return "\(first.place) was checked twice within \(second.sentBy - first.sentAt) ns"
        }
    }

    /// Whoever is found unhealthy has failed often enough, or said so itself.
    private func judgeVerdicts(
        _ plan: CheckPlan, _ place: Place, _ checks: [Sightings.Check]
    ) -> [String] {
        let all = health.events.filter { $0.place == place && $0.kind == .unhealthy }
        return all.compactMap { event in
            let before = checks.filter { $0.sentAt <= event.at }
            let slow = plan.timeout * 500_000
            // After a while servers that leave are not believed any more.
            let unprocessed = before.count(where: \.isUnprocessed)
            let failed =
                before.count {
                    !$0.isUnprocessed
                        && ($0.answer != .well || $0.answeredAt - $0.sentAt > slow)
                } + unprocessed / 4
            let hasSaidNo =
                before.contains { $0.answer == .notServing }
                || plan.kind == .watch
                    && plan.periods.contains { $0.origin == place.origin && $0.trouble == .saysNo }
            return hasSaidNo || failed >= plan.unhealthy
                ? nil : "\(place) was found unhealthy by \(failed) failures"
        }
    }

    /// Enough results in a row are heard of soon.
    private func judgeNews(
        _ plan: CheckPlan, _ place: Place, _ checks: [Sightings.Check]
    ) -> [String] {
        var faults: [String] = []
        var (well, failed) = (0, 0)
        for (index, check) in checks.enumerated() {
            let next = index + 1 < checks.count ? checks[index + 1].sentAt : .max
            // What was asked by another configuration may have been forgotten with it.
            let isSame =
                installations(from: check.sentAt, to: check.sentAt + 200_000_000).count == 1
            guard isSame, check.answer != .none, next > check.answeredAt,
                next < check.sentAt + 2 * plan.interval * 1_000_000
            else {
                (well, failed) = (0, 0)
                continue
            }
            let isWell = check.answer == .well
            well = isWell ? well + 1 : 0
            failed = isWell ? 0 : failed + 1
            // The next is sent once the answer is known.
            let isOut = health.unhealthySince(place, at: next) != nil
            if isWell, well >= plan.healthy, isOut, plan.kind != .watch {
                faults.append("\(place) passed \(well) checks, and is taken for unhealthy")
            }
            if !isWell, failed >= plan.unhealthy || check.answer == .notServing, !isOut,
                plan.kind != .watch
            {
                faults.append("\(place) failed \(failed) checks, and is taken for healthy")
            }
        }
        return faults
    }
}
