/// Endpoints that are new or come back get less at first: empty caches and code that was not
/// compiled yet must not meet a full share.
public struct SlowStartTerms: Equatable, Sendable {
    /// How long it takes, in nanoseconds.
    public var window: Int64
    /// In hundredths: 100 rises evenly, more rises fast at first.
    public var aggression = 100
    /// The least share of the weight, in 10,000.
    public var minimum = 1_000

    public init(window: Int64) { self.window = window }

    /// What part of its weight an endpoint has so long after it began.
    public func share(after age: Int64) -> Double {
        guard age < window else { return 1 }
        let progress = Double(max(0, age)) / Double(max(1, window))
        let risen = Exponential.power(progress, 100 / Double(max(1, aggression)))
        return max(Double(minimum) / 10_000, risen)
    }
}

/// Since when an endpoint is new, or back. Performs no I/O.
public struct Warming: Sendable {
    private var since: Int64?
    private var wasUsable: Bool?

    public init() {}

    /// - isFirst: all others begin with it, so that it need not be spared.
    public mutating func seen(isUsable: Bool, isFirst: Bool, now: Int64) {
        let began = wasUsable == nil ? !isFirst : wasUsable == false && isUsable
        if began { since = now }
        wasUsable = isUsable
    }

    /// Weights are in thousandths while this goes on.
    public mutating func weight(
        _ weight: UInt32, now: Int64, _ terms: SlowStartTerms
    ) -> UInt32 {
        guard let since else { return weight * 1_000 }
        let age = now - since
        if age >= terms.window { self.since = nil }
        return max(1, UInt32(Double(weight) * 1_000 * terms.share(after: age)))
    }
}
