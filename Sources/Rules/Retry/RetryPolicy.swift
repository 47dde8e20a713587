/// What a route tries again, and how often: gRPC's retry and hedging policies (gRFC A6), and the
/// same for plain HTTP by status and method. Times in nanoseconds.
public final class RetryPolicy: Sendable {
    /// No policy makes more.
    public static let attemptsMax = 5
    /// No policy keeps less.
    public static let bufferBytesMin: Int64 = 1 << 10
    /// What holds for a request, whatever its policy.
    public static let bufferBytesDefault = 64 << 10

    public struct Terms: Sendable {
        /// All of them, the first included.
        public var attempts = 3
        public var codes = StatusCodes()
        /// Plain HTTP: statuses that are tried again, and for which methods.
        public var statuses: [UInt16] = []
        public var methods: [[UInt8]] = []
        public var backoff = RetryBackoff()
        /// What one attempt may take, from the moment it has a stream until its response is passed
        /// on; 0 is as long as the whole exchange.
        public var perTryTimeout: Int64 = 0
        /// A further attempt is made whenever so long passed without a response; nil is one after
        /// the other.
        public var hedgeDelay: Int64?
        /// How much of a request is kept to be sent again.
        public var bufferBytes = RetryPolicy.bufferBytesDefault
        /// A response is held back until its status is known, as long as its body is not larger
        /// and it does not take longer. 0 bytes: it is passed on as soon as it begins.
        public var peekBytes = 4 << 10
        public var peekTime: Int64 = 10_000_000
        public var budget = RetryBudget()

        public init() {}
    }

    public let terms: Terms

    public init(_ terms: Terms) { self.terms = terms }

    public var isHedging: Bool { terms.hedgeDelay != nil }

    /// Whether the policy names what an attempt came to.
    public func names(_ outcome: AttemptOutcome, of method: AttemptMethod) -> Bool {
        switch outcome {
        case .status(let code): method == .grpc && terms.codes.contains(code)
        case .http(let status): mayRepeat(method) && terms.statuses.contains(status)
        case .timedOut: mayRepeat(method)
        case .neverSent, .refused, .dropped: false
        }
    }

    /// Whether a request may be sent again though it may have been processed.
    public func mayRepeat(_ method: AttemptMethod) -> Bool {
        switch method {
        case .grpc: true
        case .http(let isNamed): isNamed
        }
    }

    public func names(method: Span<UInt8>) -> Bool {
        terms.methods.contains { name in
            guard name.count == method.count else { return false }
            for index in name.indices where name[index] != method[index] { return false }
            return true
        }
    }
}

/// Whose rules say what may be repeated.
public enum AttemptMethod: Equatable, Sendable {
    case grpc
    /// Plain HTTP; its method is one that the policy names.
    case http(isNamed: Bool)
}

/// What became of an attempt whose response was not passed on.
public enum AttemptOutcome: Equatable, Sendable {
    /// Its HEADERS never left.
    case neverSent
    /// The server has certainly not processed it: REFUSED_STREAM, or above GOAWAY's last ID (RFC
    /// 9113, 8.7).
    case refused
    /// A gRPC status: of the server, or what a reset or a lost connection means.
    case status(UInt32)
    /// A plain HTTP status, in the same way.
    case http(UInt16)
    /// Its own time was over.
    case timedOut
    /// Weir would not send it: one of its limits.
    case dropped
}

/// Why an attempt that failed was the last.
public enum NotRetried: UInt8, CaseIterable, Sendable, BitwiseCopyable {
    case none
    /// Its response was passed on already.
    case committed
    /// More of the request was sent than is kept.
    case bodyOverBuffer
    /// The upstream has had its share of retries: `budget`, `retry_throttle` or `limits.retries`.
    case budget
    /// The server said so.
    case pushbackStop
    /// There is no time left for another.
    case deadline
    /// No policy, or none that names this.
    case notRetryable
    /// All attempts were made.
    case attempts

    /// Its word in the log and in metrics.
    public var name: StaticString {
        switch self {
        case .none: "none"
        case .committed: "committed"
        case .bodyOverBuffer: "body_over_buffer"
        case .budget: "budget"
        case .pushbackStop: "pushback_stop"
        case .deadline: "deadline"
        case .notRetryable: "not_retryable"
        case .attempts: "attempts"
        }
    }
}

/// Delays between attempts (gRFC A6): the n-th is `base` * `multiplier`^(n-1), at most `max`, times
/// a random factor from 0.8 to 1.2.
public struct RetryBackoff: Sendable, Equatable {
    public var base: Int64 = 25_000_000
    public var max: Int64 = 250_000_000
    public var multiplier = 2.0

    public init() {}

    /// - number: 1 for the first retry. - draw: any random number.
    public func delay(_ number: Int, draw: UInt64) -> Int64 {
        var delay = Double(base)
        for _ in 1..<Swift.max(number, 1) where delay < Double(max) { delay *= multiplier }
        delay = min(delay, Double(max))
        let factor = 0.8 + 0.4 * Double(draw >> 11) / Double(UInt64(1) << 53)
        return Int64(delay * factor)
    }
}
