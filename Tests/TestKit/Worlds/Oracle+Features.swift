import Peers

/// What the oracle has to know of a world to judge its features.
extension Oracle {
    /// A connection on which calls had gone, while nothing made it go.
    struct UsableConnection {
        let place: Place
        let worker: Int
        let from: Int64
        let until: Int64
    }

    mutating func learn(_ scenario: Scenario) {
        retry = scenario.retry
        features = scenario.features
        origins = scenario.origins.count
        workers = scenario.workers
        checksEndAt = World.begin + CheckPlan.span
        for (index, plans) in scenario.origins.enumerated() {
            guard plans.allSatisfy(\.isBroad) else { continue }
            if plans.allSatisfy({ $0.events.isEmpty }) { steady.insert(index) }
            if plans.allSatisfy(\.isGraceful) { graceful.insert(index) }
            if plans.allSatisfy(\.isRoomy) { roomy.insert(index) }
        }
        let lacksDescriptors = scenario.disturbances.contains {
            if case .lackOfDescriptors = $0.1 { true } else { false }
        }
        mayLoseAttempts = scenario.failedConnects > 0 || lacksDescriptors
        let haveRoom = scenario.origins.joined().allSatisfy(\.isRoomy)
        isCalm = !scenario.hasConnectionFaults && !mayLoseAttempts && haveRoom
    }

    /// What came of it with a proxy between.
    mutating func learn(_ harness: ProxyHarness, of simulation: Simulation) {
        policies = harness.policies
        health = harness.health
        lists = harness.lists
        overloads = harness.overloads
        checksOverAt = harness.checksOverAt
        let scenario = simulation.scenario
        if scenario.originsSpeakTLS, !scenario.originCredentials.allSatisfy(isAlwaysGood) {
            mayLoseAttempts = true
            isCalm = false
        }
        if features.overload?.holdsConnections == true { lackedDescriptors = true }
        usable = simulation.calls.flatMap(\.attempts).compactMap(usableConnection)
    }

    private func usableConnection(_ attempt: AttemptRecord) -> UsableConnection? {
        guard let connection = attempt.connection, isSteady(attempt.place) else { return nil }
        let from = attempt.sentBy
        let reload = policies.map(\.at).first { $0 > connection.openedAt } ?? .max
        let change = lists.changes.first {
            $0.upstream == attempt.place.upstream && $0.at > connection.openedAt
        }
        let until = min(connection.closedAt, reload, change?.at ?? .max, closedAt)
        return UsableConnection(
            place: attempt.place, worker: connection.worker, from: from, until: until)
    }

    func isSteady(_ place: Place) -> Bool { steady.contains(place.origin) }

    func isGraceful(_ place: Place) -> Bool { graceful.contains(place.origin) }

    /// By the numbers of configurations that may have held in that time.
    func installations(from start: Int64, to end: Int64) -> [Int] {
        let held = policies(from: start, to: end).map(\.at)
        return policies.indices.filter { held.contains(policies[$0].at) }.map { $0 + 1 }
    }

    /// An answer that a feature is for. Whether it was right is judged with the feature.
    func isFeatures(_ call: Call) -> Bool {
        guard !isDirect, source(of: call) == nil else { return false }
        if features.rates != nil, RateLimitPlan.isRefused(call) { return true }
        if features.faults != nil, FaultPlan.isAborted(call) { return true }
        if features.overload != nil, Self.isShed(call) { return true }
        guard hasBreaker else { return false }
        return Self.isBroken(call)
            || !call.plan.isGRPC && call.responseFields?.first(":status") == "503"
    }

    /// Of all calls together.
    func judgeFeatures(_ calls: [Call], _ sightings: Sightings) -> [String] {
        guard !isDirect else { return [] }
        return judgeEjections(calls) + judgeChecks(sightings) + judgeBreakers(calls, sightings)
            + (features.rates?.judge(calls) ?? []) + judgeHashes(calls)
    }
}

extension OriginConnectionPlan {
    /// Nothing holds up what is sent on it.
    fileprivate var isBroad: Bool {
        link.stall == nil && link.cut == nil && !link.splitsFinely && link.pieceMax >= 1_500
            && link.capacity >= 65_536 && pace.readMax >= 5_000
    }

    fileprivate var isRoomy: Bool { terms.concurrentStreams ?? 100 >= 100 }

    fileprivate var isGraceful: Bool {
        events.allSatisfy {
            if case .close = $0.1 { false } else { true }
        }
    }
}

/// How often what features are for came about, so that it is seen that worlds try them.
public struct Occurrences: Sendable {
    public private(set) var counts: [String: Int] = [:]
    /// Of calls that a fault's share of one half decides, those that were ended.
    public private(set) var draws = (calls: 0, ended: 0)

    public init() {}

    init(_ calls: [Call], _ oracle: Oracle, _ sightings: Sightings) {
        let events = oracle.health.events
        counts["ejected"] = events.count(where: \.isEjection)
        counts["returned"] = events.count { $0.kind == .returned }
        counts["found unhealthy"] = events.count { $0.kind == .unhealthy }
        counts["checked"] = sightings.checks.count
        counts["watched"] = sightings.checks.count(where: \.isWatch)
        counts["endpoints changed"] = max(0, oracle.lists.changes.count - oracle.origins)
        if oracle.features.rates != nil {
            counts["over a rate"] = calls.count(where: RateLimitPlan.isRefused)
        }
        if oracle.features.overload != nil { counts["shed"] = calls.count(where: Oracle.isShed) }
        if oracle.features.faults != nil {
            counts["ended by a fault"] = calls.count(where: FaultPlan.isAborted)
        }
        for call in calls where Oracle.isBroken(call) {
            let words = call.responseFields?.first("grpc-message") ?? ""
            counts["over \(words.split(separator: " ").last ?? "")", default: 0] += 1
        }
        if oracle.features.mirror != nil {
            counts["copied"] = calls.count { !$0.copies.isEmpty }
        }
        draws = oracle.features.faults?.draws(calls) ?? (0, 0)
    }

    /// What of many seeds should have come about, and did not.
    public func faults(ofSeeds seeds: UInt64) -> [String] {
        guard seeds >= 1_000 else { return [] }
        var faults = counts.filter { $0.value == 0 }.map { "\($0.key): never" }.sorted()
        // Five standard deviations of so many draws.
        let (drawn, ended) = draws
        if drawn < 50 || (2 * ended - drawn) * (2 * ended - drawn) > 25 * drawn {
            faults.append("of \(drawn) calls \(ended) were ended by a fault's share of 50%")
        }
        return faults
    }

    public static func + (one: Occurrences, other: Occurrences) -> Occurrences {
        var sum = one
        sum.counts.merge(other.counts, uniquingKeysWith: +)
        sum.draws.calls += other.draws.calls
        sum.draws.ended += other.draws.ended
        return sum
    }
}
