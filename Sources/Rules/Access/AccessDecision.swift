/// Whether a call may go on, and why.
public struct AccessDecision: BitwiseCopyable, Equatable, Sendable {
    public enum Verdict: UInt8, BitwiseCopyable, Sendable {
        case allowed
        /// PERMISSION_DENIED or 403.
        case denied
        /// UNAUTHENTICATED or 401.
        case unauthenticated
        /// UNAVAILABLE or 503.
        case unavailable
    }

    public enum Reason: UInt8, BitwiseCopyable, Sendable, CaseIterable {
        /// No rule decided.
        case byDefault
        case allowItem
        case denyItem
        /// Rules say who may call, and this caller is none of them.
        case notAllowed
        /// The same, but a token might have helped, and there is none.
        case tokenMissing
        case tokenInvalid
        case tokenUnavailable

        /// Its word in the log.
        public var name: StaticString {
            switch self {
            case .byDefault: "default"
            case .allowItem: "allow"
            case .denyItem: "deny"
            case .notAllowed: "not_allowed"
            case .tokenMissing: "token_missing"
            case .tokenInvalid: "token_invalid"
            case .tokenUnavailable: "token_unavailable"
            }
        }
    }

    public var verdict: Verdict
    public var reason: Reason
    /// Position of the rule that decided; -1 is none.
    public var rule: Int32 = -1
    /// Position in its `allow` or `deny`; -1 is none.
    public var item: Int32 = -1

    public init(_ verdict: Verdict, _ reason: Reason, rule: Int32 = -1, item: Int32 = -1) {
        self.verdict = verdict
        self.reason = reason
        self.rule = rule
        self.item = item
    }

    public var isAllowed: Bool { verdict == .allowed }
}

/// A decision, and what it would be if rules in dry run were enforced.
public struct AccessOutcome: BitwiseCopyable, Equatable, Sendable {
    public var decision: AccessDecision
    /// Only where one would be let in and the other not.
    public var rehearsal: AccessDecision?

    /// A rule has to do with it.
    public var isByRule: Bool { decision.rule >= 0 || rehearsal != nil }

    public init(_ decision: AccessDecision, rehearsal: AccessDecision? = nil) {
        self.decision = decision
        self.rehearsal = rehearsal
    }
}
