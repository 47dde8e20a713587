import Peers

/// Faults of a route of their own, for calls that ask for them, and what must hold of them.
struct FaultPlan {
    /// Milliseconds, and of 100 calls.
    var delay: (duration: Int64, share: Int)?
    var abortShare: Int?

    static let abortStatus = 10
    private static let abortHTTPStatus = "451"

    init(_ chance: inout Chance) {
        if chance.hits(percent: 70) {
            let duration = Int64(chance.pick([5, 50, 300]))
            delay = (duration, chance.pick([50, 100]))
        }
        if delay == nil || chance.hits(percent: 70) { abortShare = chance.pick([50, 50, 100]) }
    }

    var text: String {
        var parts = ["lowered_by: x-fault-share"]
        if let delay {
            parts.append("delay: {duration: \(delay.duration)ms, share: \(delay.share)%}")
        }
        if let abortShare {
            parts.append(
                "abort: {grpc_status: \(Self.abortStatus), status: \(Self.abortHTTPStatus), "
                    + "share: \(abortShare)%}")
        }
        return ", fault: {" + parts.joined(separator: ", ") + "}"
    }

    static func isMeant(_ plan: CallPlan) -> Bool { plan.fields.first("x-test") == "on" }

    /// The caller asks for none.
    private static func isLowered(_ plan: CallPlan) -> Bool {
        plan.fields.first("x-fault-share")?.hasPrefix("0") ?? false
    }

    /// The answer that stands for the fault.
    static func isAborted(_ call: Call) -> Bool {
        guard call.outcome == .complete, call.responseFields?.first("x-origin") == nil else {
            return false
        }
        return call.plan.isGRPC
            ? call.responseFields?.first("grpc-status") == "\(abortStatus)"
            : call.responseFields?.first(":status") == abortHTTPStatus
    }

    /// It may happen to the call; the proxy may have answered it before.
    func mayAbort(_ call: Call) -> Bool {
        abortShare != nil && Self.isMeant(call.plan) && !Self.isLowered(call.plan)
    }

    func judge(_ call: Call) -> [String] {
        var faults: [String] = []
        let isMeant = Self.isMeant(call.plan) && !Self.isLowered(call.plan)
        if Self.isAborted(call) {
            if !mayAbort(call) { faults.append("a fault for which nobody asked") }
            if !call.attempts.isEmpty { faults.append("it was sent on, and ended by a fault") }
        }
        if isMeant, abortShare == 100, !call.attempts.isEmpty {
            faults.append("it was sent on where all are ended by a fault")
        }
        guard isMeant, let delay, delay.share == 100 else { return faults }
        let moments = call.attempts.map(\.sentBy) + (Self.isAborted(call) ? [call.endedAt] : [])
        if let first = moments.min(), first < call.sentAt + delay.duration * 1_000_000 {
            faults.append("it went on before its delay was over")
        }
        return faults
    }

    /// Of calls that a share decides, how many were ended.
    func draws(_ calls: [Call]) -> (calls: Int, ended: Int) {
        guard abortShare == 50 else { return (0, 0) }
        let own = calls.filter { mayAbort($0) && (Self.isAborted($0) || !$0.attempts.isEmpty) }
        return (own.count, own.count(where: Self.isAborted))
    }
}
