/// Random numbers for choices that no attacker gains by guessing, from one that is random: a
/// counter through a mixing function (SplitMix64), a few instructions each.
public struct Draws: Sendable {
    private var state: UInt64

    public init(seed: UInt64) { state = seed }

    public mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed &>> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed &>> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed &>> 31)
    }

    /// From 0 to `bound - 1`, `bound` from 1: the high half of a product, which favours none by
    /// more than one in 2^64 / `bound`.
    @inline(always)
    public mutating func next(below bound: Int) -> Int {
        Int(truncatingIfNeeded: next().multipliedFullWidth(by: UInt64(bound)).high)
    }

    /// From 0 to below 1.
    public mutating func fraction() -> Double { Double(next() &>> 11) * 0x1p-53 }
}
