import Peers

/// An upstream's limits of what is under way at once, and what must hold of them.
struct BreakerPlan {
    var connections: Int?
    var requests: Int?
    var pending: Int?
    var retries: Int?

    init() {}

    init(_ chance: inout Chance) {
        if chance.hits(percent: 40) { connections = chance.within(1...3) }
        if chance.hits(percent: 40) { requests = chance.within(1...5) }
        if chance.hits(percent: 30) { pending = chance.within(1...3) }
        if chance.hits(percent: 40) { retries = chance.within(0...2) }
    }

    var text: String {
        let named = [
            ("connections", connections), ("requests", requests), ("pending", pending),
            ("retries", retries),
        ]
        let parts = named.compactMap { name, limit in limit.map { "\(name): \($0)" } }
        return parts.isEmpty ? "" : ", limits: {" + parts.joined(separator: ", ") + "}"
    }

    func limit(named name: Substring) -> Int? {
        switch name {
        case "upstream.connections": connections
        case "upstream.requests": requests
        case "upstream.pending": pending
        default: nil
        }
    }
}

/// How many requests servers may have at once, found by the proxy between these.
struct AdaptivePlan {
    var least = 1
    var most = 4

    init(_ chance: inout Chance) {
        least = chance.within(1...2)
        most = least + chance.within(0...4)
    }

    var text: String {
        ", adaptive_concurrency: {min: \(least), max: \(most), requests: 3, window: 10ms, "
            + "interval: 500ms}"
    }
}

extension Oracle {
    /// A breaker's answer: nobody is to try again.
    static func isBroken(_ call: Call) -> Bool {
        guard call.outcome == .complete, call.responseFields?.first("x-origin") == nil else {
            return false
        }
        return call.responseFields?.first("grpc-retry-pushback-ms") == "-1"
    }

    /// There is one that may have answered plain HTTP.
    var hasBreaker: Bool { features.breakers != nil || features.adaptive != nil }

    func judgeBreakers(_ calls: [Call], _ sightings: Sightings) -> [String] {
        guard hasBreaker, !isDirect else { return [] }
        var faults = calls.filter(Self.isBroken).compactMap { judgeRefusal($0, calls) }
        for upstream in 0..<upstreams {
            if let limit = features.breakers?.connections {
                let spans = sightings.connections.values.filter { $0.place.upstream == upstream }
                    .map { ($0.openedAt, $0.closedAt) }
                let most = Self.most(spans)
                if most > limit { faults.append("u\(upstream) had \(most) connections") }
            }
            let spans = calls.flatMap { call in
                call.attempts.filter { $0.place.upstream == upstream }.compactMap(\.span)
            }
            let most = Self.most(spans)
            if let limit = features.breakers?.requests, most > limit {
                faults.append("u\(upstream) had \(most) requests at once")
            }
            if let plan = features.adaptive, most > max(plan.most, workers) {
                faults.append("u\(upstream) had \(most) requests, by adaptive concurrency")
            }
        }
        return faults + judgeRetries(calls)
    }

    /// A call counts from its first further attempt on until it has an answer, however many of its
    /// attempts are under way.
    private func judgeRetries(_ calls: [Call]) -> [String] {
        guard let limit = features.breakers?.retries else { return [] }
        return (0..<upstreams).compactMap { upstream in
            let own = calls.filter { $0.attempts.first?.place.upstream == upstream }
            let most = Self.most(own.compactMap(triedAgain))
            return most > limit ? "u\(upstream) had \(most) calls that were tried again" : nil
        }
    }

    /// For how long a call was among those in any case.
    private func triedAgain(_ call: Call) -> (Int64, Int64)? {
        let sent = call.attempts.sorted { ($0.sentAt, $0.index) < ($1.sentAt, $1.index) }
        guard let first = sent.firstIndex(where: { $0.previous > 0 }), let last = sent.last,
            sent.allSatisfy(\.isClear), !call.wasCut, call.outcome != nil
        else { return nil }
        let isHedged = retry?.hedge != nil
        let decidedAt = isHedged ? nil : sent[..<first].last?.heardAt
        // The proxy may have given them up while answers were on their way.
        var ends = [last.givenUpFrom, last.connection?.closedAt].compactMap { $0 }
        ends += (isHedged ? sent : [last]).map(\.mayBeHeardAt)
        if call.outcome != .complete { ends.append(call.endedAt) }
        if let timeout = call.plan.timeout { ends.append(call.sentAt + timeout.nanoseconds) }
        if let perTry = retry?.perTry { ends.append(last.sentAt + perTry) }
        return (min(decidedAt ?? .max, sent[first].sentBy), ends.min() ?? 0)
    }

    /// What is wrong with a breaker's answer.
    private func judgeRefusal(_ call: Call, _ calls: [Call]) -> String? {
        let words = call.responseFields?.first("grpc-message") ?? ""
        let name = words.split(separator: " ").last ?? ""
        if call.responseFields?.first("grpc-status") != "14" {
            return "call \(call.id) was refused with another status than UNAVAILABLE"
        }
        if name == "upstream.adaptive_concurrency" {
            return features.adaptive == nil ? "call \(call.id) was refused by \(name)" : nil
        }
        guard let limit = features.breakers?.limit(named: name) else {
            return "call \(call.id) was refused by a limit that there is not: \(words)"
        }
        // An attempt for each call at least; a hedged one may have several.
        guard name != "upstream.connections", retry?.hedge == nil else { return nil }
        let others = calls.count {
            $0 !== call && $0.sentAt <= call.endedAt && $0.endedAt + Self.lingering >= call.sentAt
        }
        return others < limit ? "call \(call.id) was refused by \(name) beside \(others)" : nil
    }

    /// How long a call that its caller has given up may go on in the proxy: for as long as the way
    /// there takes, and the connection, where that fell silent.
    private static let lingering: Int64 = 20_000_000_000

    /// How many of these were at once; one that ends makes room for one that begins then.
    static func most(_ spans: [(Int64, Int64)]) -> Int {
        let ends = spans.filter { $0.0 < $0.1 }.flatMap { [($0.0, 1), ($0.1, -1)] }
        var (most, count) = (0, 0)
        for (_, change) in ends.sorted(by: { ($0.0, $0.1) < ($1.0, $1.1) }) {
            count += change
            most = max(most, count)
        }
        return most
    }
}

extension AttemptRecord {
    fileprivate var isClear: Bool {
        !isUnprocessed && !isVague && origin.socket.link.stall == nil
    }

    /// While the proxy had it in any case; nil where that is not known.
    fileprivate var span: (Int64, Int64)? {
        guard isClear else { return nil }
        return (startedAt, min(endedAt ?? .max, connection?.closedAt ?? .max))
    }
}
