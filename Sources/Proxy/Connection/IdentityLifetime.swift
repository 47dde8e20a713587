/// How long what a client has proven holds: its connection lives no longer. Performs no I/O.
///
///     unproven -> valid -> ended -> cut
///
/// - valid: until the first certificate of its chain expires, or it is revoked.
/// - ended: no new requests; those that run may go on for `grace`.
/// - cut: what still runs is ended with UNAUTHENTICATED.
struct IdentityLifetime {
    enum Action: Equatable { case none, end, cut }
    private enum State { case unproven, valid, ended, cut }

    /// The wall clock may step: it is asked at least this often.
    static let lookNanoseconds: Int64 = 600_000_000_000

    private var state = State.unproven
    /// Seconds since 1970.
    private var expiresAt: Int64 = .max
    private var grace: Int64 = 0
    /// When `expired` is to be called; `Int64.max` is never.
    private(set) var deadline: Int64 = .max

    var hasEnded: Bool { state == .ended || state == .cut }

    /// - expiresAt, unixNow: seconds since 1970. - grace: 0 is for ever.
    mutating func proven(until expiresAt: Int64, grace: Int64, now: Int64, unixNow: Int64) {
        state = .valid
        self.expiresAt = expiresAt
        self.grace = grace
        look(now: now, unixNow: unixNow)
    }

    private mutating func look(now: Int64, unixNow: Int64) {
        let (left, overflow) = (expiresAt &- unixNow).multipliedReportingOverflow(by: 1_000_000_000)
        let wait = overflow ? Self.lookNanoseconds : min(max(left, 0), Self.lookNanoseconds)
        deadline = now &+ wait
    }

    /// It is not believed any more.
    mutating func revoke(now: Int64) -> Action {
        guard state == .valid else { return .none }
        state = .ended
        deadline = grace > 0 ? now &+ grace : .max
        return .end
    }

    mutating func expired(now: Int64, unixNow: Int64) -> Action {
        guard now >= deadline else { return .none }
        switch state {
        case .valid:
            if unixNow > expiresAt { return revoke(now: now) }
            look(now: now, unixNow: unixNow)
            // The second that it expires in is still good.
            if deadline <= now { deadline = now &+ 1_000_000_000 }
            return .none
        case .ended:
            state = .cut
            deadline = .max
            return .cut
        case .unproven, .cut: return .none
        }
    }
}
