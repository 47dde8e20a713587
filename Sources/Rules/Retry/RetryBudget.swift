/// How many retries an upstream's calls may cause, beyond `minimum` each second: a share of the
/// calls of the last ten seconds. What is retried everywhere at once when servers fail would keep
/// them down.
public struct RetryBudget: Sendable, Equatable {
    /// In thousandths of the calls that could be retried.
    public var ratio = 200
    /// Retries a second that are always allowed, in the whole process.
    public var minimum = 10

    public init() {}
}

/// What one worker did for one upstream in the last ten seconds, in slots of one second. Counts
/// calls of routes with a retry policy alone.
public struct RetryWindow: Sendable {
    private static let slots = 10
    private static let slotNanoseconds: Int64 = 1_000_000_000
    private var calls = InlineArray<10, UInt32>(repeating: 0)
    private var retries = InlineArray<10, UInt32>(repeating: 0)
    private var callSum: UInt32 = 0
    private var retrySum: UInt32 = 0
    private var slot = 0
    private var slotEndsAt: Int64 = .min

    public init() {}

    public mutating func callBegan(now: Int64) {
        if now >= slotEndsAt { turn(now) }
        calls[slot] &+= 1
        callSum &+= 1
    }

    /// Takes a retry out of the budget; false where there is none left.
    ///
    /// - workers: how many share `minimum`.
    public mutating func takeRetry(_ budget: RetryBudget, workers: Int, now: Int64) -> Bool {
        if now >= slotEndsAt { turn(now) }
        let floor = budget.minimum * Self.slots * 1_000 / max(workers, 1)
        let allowed = Int(callSum) * budget.ratio + floor
        guard (Int(retrySum) + 1) * 1_000 <= allowed else { return false }
        retries[slot] &+= 1
        retrySum &+= 1
        return true
    }

    /// Begins the slot of this moment; those that are ten seconds old are forgotten.
    private mutating func turn(_ now: Int64) {
        let passed =
            slotEndsAt == .min ? Int64(Self.slots) : (now - slotEndsAt) / Self.slotNanoseconds + 1
        for _ in 0..<min(passed, Int64(Self.slots)) {
            slot = slot + 1 == Self.slots ? 0 : slot + 1
            callSum &-= calls[slot]
            retrySum &-= retries[slot]
            calls[slot] = 0
            retries[slot] = 0
        }
        slotEndsAt =
            slotEndsAt == .min || passed > Int64(Self.slots)
            ? now + Self.slotNanoseconds : slotEndsAt + passed * Self.slotNanoseconds
    }
}

/// gRFC A6's throttle: while half of the tokens are gone, nothing is retried. In thousandths.
public struct RetryThrottle: Sendable, Equatable {
    public let maximum: Int
    /// What a call that did not fail gives back.
    public let ratio: Int

    public init(maximum: Int, ratio: Int) {
        self.maximum = maximum
        self.ratio = ratio
    }

    public func allows(_ tokens: Int) -> Bool { tokens > maximum / 2 }

    /// What a call leaves of the tokens. `isFailure`: with a status that is retried, or with the
    /// word that there are to be no more.
    public func tokens(_ tokens: Int, afterFailure isFailure: Bool) -> Int {
        isFailure ? max(0, tokens - 1_000) : min(maximum, tokens + ratio)
    }
}
