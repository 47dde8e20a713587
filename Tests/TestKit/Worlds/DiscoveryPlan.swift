/// Endpoints of the first upstream that are found by DNS, and change.
struct DiscoveryPlan {
    /// When the first answer comes, before all calls where that is 0, and what follows: a number
    /// for each origin, of which the bits say who is there.
    var changes: [(after: Int64, members: Int)] = []

    init(_ chance: inout Chance) {
        changes = [(chance.hits(percent: 70) ? 0 : chance.within(0...300_000_000), 7)]
        for _ in 0..<chance.within(1...4) {
            let span = chance.pick([100_000, 20_000_000, 2_000_000_000] as [Int64])
            changes.append((chance.within(1...span), chance.within(1...7)))
        }
        changes.sort { $0.after < $1.after }
        changes[0].members = 7
    }

    /// Who is there of so many origins: somebody always.
    static func members(_ bits: Int, of origins: Int) -> [Int] {
        let members = (0..<origins).filter { bits & 1 << $0 != 0 }
        return members.isEmpty ? [0] : members
    }
}

extension Oracle {
    /// What is wrong with where an attempt went.
    func judgePlace(_ call: Call, _ attempt: AttemptRecord) -> [String] {
        guard !isDirect, !attempt.isVague else { return [] }
        var faults: [String] = []
        let known = lists.around(attempt.sentAt, attempt.place.upstream)
        if !known.contains(where: { $0.contains(attempt.place) }) {
            faults.append("attempt \(attempt.index) went to \(attempt.place), which is not there")
        }
        return faults + judgeFitness(attempt)
    }

    /// Endpoints that are ejected, or unhealthy, get nothing while others can be had.
    private func judgeFitness(_ attempt: AttemptRecord) -> [String] {
        let (place, time) = (attempt.place, attempt.sentAt)
        guard isOut(place, at: time), !mayBeAnyones(place, at: time, besides: attempt) else {
            return []
        }
        if let plan = features.ejection, let since = health.ejectedSince(place, at: time),
            attempt.sentBy >= since + plan.baseTime * 1_000_000
        {
            return []
        }
        return ["attempt \(attempt.index) went to \(place), which is out"]
    }

    /// In any case, as far as the proxy itself has said so.
    private func isOut(_ place: Place, at time: Int64) -> Bool {
        if let since = health.ejectedSince(place, at: time),
            !lists.hasLeft(place, between: since, and: time)
        {
            return true
        }
        guard let checks = features.checks, time < checksEndAt else { return false }
        if checks.waitsForFirst, !health.hasBeenHealthy(place, by: time),
            !lists.hasLeft(place, between: 0, and: time)
        {
            return true
        }
        guard let since = health.unhealthySince(place, at: time) else { return false }
        return !lists.hasLeft(place, between: since, and: time)
    }

    /// How late a worker may notice that an endpoint is available again.
    private static let noticing: Int64 = 60_000_000

    /// Where so few are available that all are used, or no other can be had.
    func mayBeAnyones(_ place: Place, at time: Int64, besides attempt: AttemptRecord) -> Bool {
        let start = time - Self.noticing
        let moments = [start] + health.times(from: start, to: time) + [time]
        for list in lists.around(start, place.upstream) + lists.around(time, place.upstream) {
            for moment in moments + moments.map({ $0 + 1 }) where moment <= time {
                let available = list.count { !isOutOrUnknown($0, at: moment) }
                if available * 2 < list.count { return true }
            }
        }
        guard let own = attempt.connection else { return true }
        let others = lists.around(time, place.upstream).reduce(Set(lists.all(place.upstream))) {
            $0.intersection($1)
        }
        let isOther = others.contains { other in
            other != place && moments.allSatisfy { !isOutOrUnknown(other, at: $0) }
                && usable.contains {
                    $0.place == other && $0.worker == own.worker && $0.from < time
                        && time < $0.until
                }
        }
        return !isOther
    }

    private func isOutOrUnknown(_ place: Place, at time: Int64) -> Bool {
        isOut(place, at: time) || health.ejectedSince(place, at: time + 1) != nil
            || health.unhealthySince(place, at: time + 1) != nil
    }
}

extension EndpointLists {
    func all(_ upstream: Int) -> [Place] {
        changes.filter { $0.upstream == upstream }.flatMap(\.places)
    }
}
