import Peers
import Wire

/// What a world's proxy does beside forwarding: each for a share of worlds, and none for many.
///
/// A plan says what is asked for, as text for the proxy and as numbers for the oracle; what the
/// oracle makes of them is written from docs/, not from the proxy's code.
struct Features {
    var ejection: EjectionPlan?
    var checks: CheckPlan?
    var rates: RateLimitPlan?
    var breakers: BreakerPlan?
    var adaptive: AdaptivePlan?
    var faults: FaultPlan?
    var discovery: DiscoveryPlan?
    var overload: OverloadPlan?
    /// A server that gets copies; drawn after everything else.
    var mirror: MirrorPlan?
    var balance = BalancePlan()
    /// More calls than most worlds have, within two seconds.
    var isBusy = false

    init() {}

    init(_ chance: inout Chance) {
        balance = BalancePlan(&chance)
        guard chance.hits(percent: 55) else { return }
        if chance.hits(percent: 30) { ejection = EjectionPlan(&chance) }
        if chance.hits(percent: 20) { checks = CheckPlan(&chance) }
        if chance.hits(percent: 30) { rates = RateLimitPlan(&chance) }
        if chance.hits(percent: 25) { breakers = BreakerPlan(&chance) }
        if chance.hits(percent: 10) { adaptive = AdaptivePlan(&chance) }
        if chance.hits(percent: 25) { faults = FaultPlan(&chance) }
        if chance.hits(percent: 25) { discovery = DiscoveryPlan(&chance) }
        if chance.hits(percent: 15) { overload = OverloadPlan(&chance) }
        // A connection for a check cannot be told from one for calls before it is used.
        if checks != nil { breakers?.connections = nil }
        isBusy = chance.hits(percent: ejection != nil ? 50 : rates != nil ? 25 : 5)
    }

    /// What calls say that some features look at.
    static func fields(_ chance: inout Chance) -> [HeaderField] {
        var fields: [HeaderField] = []
        if chance.hits(percent: 50) {
            fields.append(HeaderField("x-key", chance.pick(["a", "b", "c", "d", "e"])))
        }
        if chance.hits(percent: 40) { fields.append(HeaderField("x-test", "on")) }
        if chance.hits(percent: 20) {
            let share = chance.pick(["0", "0%", "100", "nothing"])
            fields.append(HeaderField("x-fault-share", share))
        }
        return fields
    }

    // MARK: As text

    /// Keys of an upstream. - isChecked: until its checks end.
    func upstreamText(isChecked: Bool) -> String {
        var text = ejection?.text ?? ""
        if isChecked { text += checks?.text ?? "" }
        return text + (breakers?.text ?? "") + (adaptive?.text ?? "")
    }

    /// Keys of a route for gRPC, or for everything else.
    func routeText(isGRPC: Bool) -> String {
        (ejection?.routeText(isGRPC: isGRPC) ?? "") + (rates?.routeText(isGRPC: isGRPC) ?? "")
    }
}
