/// What active checks have found out about one endpoint. Performs no I/O.
///
///     unknown --well--> healthy <--enough that are well--+
///        |                 |                             |
///        +-----------------+--enough that are not--> unhealthy
///
/// The first check that is well suffices. A server that says itself that it does not serve needs
/// no second opinion. Our bug, the peer's errors: none; every result has a place in every state.
public struct CheckedHealth: Equatable, Sendable {
    public enum State: UInt8, Sendable { case unknown, healthy, unhealthy }

    public enum Result: Equatable, Sendable {
        case well
        /// It did not answer, or not as it should.
        case failed
        /// It answered that it does not serve.
        case notServing
        /// It told that by itself (Watch).
        case told(serving: Bool)
    }

    public private(set) var state = State.unknown
    /// Results in a row that speak against the state.
    private var against: UInt32 = 0

    public init() {}

    /// True where the state has changed.
    public mutating func take(_ result: Result, _ terms: HealthCheckTerms) -> Bool {
        let isWell = result == .well || result == .told(serving: true)
        let target: State = isWell ? .healthy : .unhealthy
        guard state != target else {
            against = 0
            return false
        }
        against += 1
        guard against >= needed(result, terms) else { return false }
        state = target
        against = 0
        return true
    }

    private func needed(_ result: Result, _ terms: HealthCheckTerms) -> UInt32 {
        switch result {
        case .well: state == .unknown ? 1 : terms.healthyThreshold
        case .failed: terms.unhealthyThreshold
        case .notServing, .told: 1
        }
    }

    /// How long to wait before the next check. - draw: any random number.
    public func delay(_ terms: HealthCheckTerms.Intervals, draw: UInt64) -> Int64 {
        let isSteady = state == .healthy && against == 0
        let delay = isSteady ? terms.steady : terms.troubled
        let most = delay / 10_000 * terms.jitter
        guard most > 0 else { return delay }
        return delay - most + Int64(draw % UInt64(2 * most + 1))
    }
}
