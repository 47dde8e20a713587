import Peers

/// Algorithms by which upstreams choose, one after the other with each configuration.
struct BalancePlan {
    /// What decides where a call goes, where something does.
    enum Hash { case key, source }

    struct Algorithm {
        let text: String
        var hash: Hash?
    }

    private static let all: [Algorithm] = [
        Algorithm(text: "round_robin"), Algorithm(text: "least_request"),
        Algorithm(text: "peak_ewma"), Algorithm(text: "random"),
        Algorithm(text: "{algorithm: ring_hash, hash: [{header: x-key}], load_limit: 125%}"),
        Algorithm(text: "{algorithm: least_request, slow_start: {window: 5s}}"),
        Algorithm(text: "{algorithm: ring_hash, hash: [{header: x-key}]}", hash: .key),
        Algorithm(text: "{algorithm: maglev, hash: [{header: x-key}]}", hash: .key),
        Algorithm(text: "{algorithm: round_robin, zones: {minimum: 70%}}"),
        Algorithm(text: "{algorithm: peak_ewma, decay: 100ms, failure_penalty: 1s}"),
        Algorithm(text: "{algorithm: ring_hash, hash: [{source: true}]}", hash: .source),
    ]

    private var first = 0
    /// Origins weigh the same, or not.
    var weighs = false

    init() {}

    init(_ chance: inout Chance) {
        first = chance.below(Self.all.count)
        weighs = chance.hits(percent: 30)
    }

    func algorithm(of upstream: Int, installation: Int) -> Algorithm {
        Self.all[(first + installation + upstream) % Self.all.count]
    }

    /// `10.0.0.1:50051`, or more of it.
    func endpointText(_ place: Place) -> String {
        let zone = place.origin == 1 ? "far" : "near"
        let weight = weighs ? 1 + place.origin : 1
        return "{address: \"\(place.address)\", weight: \(weight), zone: \(zone)}"
    }
}

extension Oracle {
    /// Calls that belong together go to the same endpoint, while all are well and have room.
    func judgeHashes(_ calls: [Call]) -> [String] {
        guard !isDirect, isCalm, features.checks == nil, features.ejection == nil,
            features.breakers?.connections == nil, calls.count < 90
        else { return [] }
        var homes: [String: Place] = [:]
        var faults: [String] = []
        for call in calls {
            guard let attempt = call.attempts.first, !attempt.isVague,
                let key = hashKey(call, attempt)
            else { continue }
            if let home = homes[key], home != attempt.place {
                faults.append("call \(call.id) with \(key) went to \(attempt.place), not \(home)")
            }
            homes[key] = attempt.place
        }
        return faults
    }

    /// The algorithm, what it looks at and the endpoints; nil where one of them is not known.
    private func hashKey(_ call: Call, _ attempt: AttemptRecord) -> String? {
        let upstream = attempt.place.upstream
        let numbers = installations(from: call.sentAt, to: attempt.sentBy)
        let members = lists.around(call.sentAt, upstream) + lists.around(attempt.sentBy, upstream)
        guard numbers.count == 1, Set(members).count == 1, let number = numbers.first else {
            return nil
        }
        let algorithm = features.balance.algorithm(of: upstream, installation: number)
        let value: String? =
            switch algorithm.hash {
            case .key: call.plan.fields.first("x-key")
            case .source: "\(call.source)"
            case nil: nil
            }
        return value.map { "u\(upstream) \(algorithm.text) \($0) \(members[0])" }
    }
}
