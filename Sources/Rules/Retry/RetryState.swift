/// Decides after each attempt of an exchange whether there is another. Performs no I/O.
///
///     trying --failed--> again        never processed: at once, and free
///        |        \----> retry        after a delay, within the budget
///        |         \---> giveUp       the caller is told
///        +--response passed on--> (nothing is asked any more)
///
/// The rules are gRFC A6's: an attempt that never left Weir is free as often as it happens, one
/// that the server refused is free once, all others are the policy's. Whoever asks keeps the clock,
/// the random numbers and the budget.
public struct RetryState: BitwiseCopyable, Sendable {
    public enum Verdict: Equatable, Sendable {
        case again
        /// In nanoseconds from now.
        case retry(after: Int64)
        case giveUp(NotRetried)
    }

    /// What the rules have to know of an exchange at the moment of a failure.
    public struct Situation {
        public var method = AttemptMethod.grpc
        public var pushback = Pushback.none
        /// The response was passed on.
        public var isCommitted = false
        /// The request is still there from its beginning.
        public var isReplayable = true
        public var now: Int64 = 0
        /// 0 is none.
        public var deadline: Int64 = 0
        /// Any random number.
        public var draw: UInt64 = 0

        public init() {}
    }

    /// Attempts that count: what no server has processed is not among them.
    public private(set) var attempts: UInt8 = 1
    private var backoffs: UInt8 = 0
    private var wasRefused = false
    /// A server said that there are to be no more.
    private var isStopped = false

    public init() {}

    /// What follows an attempt's failure. `.retry` has counted the next attempt.
    public mutating func failed(
        _ outcome: AttemptOutcome, _ policy: RetryPolicy?, _ situation: Situation
    ) -> Verdict {
        if situation.isCommitted { return .giveUp(.committed) }
        if outcome == .neverSent || outcome == .refused && !wasRefused {
            guard situation.isReplayable else { return .giveUp(.bodyOverBuffer) }
            if outcome == .refused { wasRefused = true }
            return .again
        }
        let outcome = Self.known(outcome, situation.method)
        guard let policy, policy.names(outcome, of: situation.method) else {
            return .giveUp(.notRetryable)
        }
        if situation.pushback == .stop { isStopped = true }
        if isStopped { return .giveUp(.pushbackStop) }
        guard attempts < policy.terms.attempts else { return .giveUp(.attempts) }
        guard situation.isReplayable else { return .giveUp(.bodyOverBuffer) }
        let delay = delay(policy, situation)
        if situation.deadline > 0, situation.now &+ delay >= situation.deadline {
            return .giveUp(.deadline)
        }
        attempts += 1
        return .retry(after: delay)
    }

    /// Another attempt is sent beside those that last; false where there are to be no more.
    public mutating func hedged(_ policy: RetryPolicy) -> Bool {
        guard !isStopped, attempts < policy.terms.attempts else { return false }
        attempts += 1
        return true
    }

    /// The attempt that was counted is not made after all.
    public mutating func withdrew() { attempts -= 1 }

    /// Refused a second time: what that means to whoever has no free attempt left.
    private static func known(_ outcome: AttemptOutcome, _ method: AttemptMethod) -> AttemptOutcome
    {
        guard outcome == .refused else { return outcome }
        return method == .grpc ? .status(14) : .http(503)
    }

    /// gRFC A6: a server's pushback is kept exactly, and the delays begin anew after it.
    private mutating func delay(_ policy: RetryPolicy, _ situation: Situation) -> Int64 {
        if case .after(let nanoseconds) = situation.pushback {
            backoffs = 0
            return nanoseconds
        }
        if policy.isHedging { return 0 }
        if backoffs < .max { backoffs += 1 }
        return policy.terms.backoff.delay(Int(backoffs), draw: situation.draw)
    }
}

/// `grpc-retry-pushback-ms` of a response (gRFC A6): when its server may be asked again.
public enum Pushback: Equatable, Sendable {
    case none
    /// In nanoseconds.
    case after(Int64)
    case stop

    /// Milliseconds as a 32-bit integer in ASCII; negative ones and what is no number say stop.
    public init(_ value: Span<UInt8>) {
        var digits = 0..<value.count
        let isNegative = value.count > 0 && value[0] == UInt8(ascii: "-")
        if isNegative { digits = 1..<value.count }
        var number: Int64 = 0
        self = .stop
        guard !isNegative, !digits.isEmpty, digits.count <= 10 else { return }
        for index in digits {
            guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(value[index]) else { return }
            number = number * 10 + Int64(value[index] - UInt8(ascii: "0"))
        }
        if number <= Int64(Int32.max) { self = .after(number * 1_000_000) }
    }
}
