import Peers

/// Times at which the process uses too much memory, and what must hold then.
struct OverloadPlan {
    enum Stage: Int { case none, idle, requests, connections }

    var periods: [(after: Int64, nanoseconds: Int64, stage: Stage)] = []

    init(_ chance: inout Chance) {
        let span = chance.pick([1_000_000, 100_000_000, 2_000_000_000] as [Int64])
        var start = chance.within(0...span)
        for _ in 0..<chance.within(1...3) {
            let length = chance.within(Int64(1_000_000)...400_000_000)
            let stage = chance.pick([.idle, .requests, .requests, .connections] as [Stage])
            periods.append((start, length, stage))
            start += length + chance.within(Int64(1_000_000)...span)
        }
    }

    var holdsConnections: Bool { periods.contains { $0.stage == .connections } }
}

extension Oracle {
    /// Since when all workers knew, and until when none was told that it is over.
    struct Overload {
        let stage: OverloadPlan.Stage
        let at: Int64
        var heardAt = Int64.max
        var until = Int64.max
        /// All workers know that it is over.
        var overAt = Int64.max
    }

    /// Refused for that, and when to come again.
    static func isShed(_ call: Call) -> Bool {
        guard call.outcome == .complete, call.responseFields?.first("x-origin") == nil else {
            return false
        }
        return call.plan.isGRPC
            ? call.responseFields?.first("grpc-retry-pushback-ms") == "1000"
                && call.responseFields?.first("grpc-status") == "14"
            : call.responseFields?.first(":status") == "503"
                && call.responseFields?.first("retry-after") == "1"
    }

    /// A stage that refuses requests may have held at some time of the call.
    func mayBeShed(_ call: Call) -> Bool {
        overloads.contains {
            $0.stage.rawValue >= OverloadPlan.Stage.requests.rawValue && $0.at <= call.endedAt
                && call.sentAt <= $0.overAt
        }
    }

    func judgeOverload(_ call: Call) -> [String] {
        guard !isDirect else { return [] }
        var faults: [String] = []
        if Self.isShed(call), features.overload != nil {
            if !mayBeShed(call) { faults.append("it was refused without need") }
            if !call.attempts.isEmpty { faults.append("it was refused and sent on") }
        }
        for overload in overloads
        where overload.stage.rawValue >= OverloadPlan.Stage.requests.rawValue
            && call.sentAt > overload.heardAt
        {
            if call.attempts.contains(where: { $0.sentBy < overload.until }) {
                faults.append("it was sent on where requests are refused")
            }
        }
        return faults
    }
}
