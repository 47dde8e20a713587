public import Rules
internal import Synchronization
public import Wire

/// What the whole process knows of one endpoint's health: shared by all workers, and kept through
/// reloads by the upstream's name and the address.
///
/// While all is well workers only read it, one word for each choice and one for each call's end:
/// it lies in every core's cache. Changes are rare and happen behind a mutex.
public final class EndpointRecord: Sendable {
    public let address: SocketAddress
    private let upstream: UpstreamHealth
    /// What keeps calls away; 0 is nothing.
    private let obstacles = Atomic<UInt32>(0)
    private let failuresInRow = Atomic<UInt32>(0)
    /// Of the interval, as far as workers have handed their own counts in.
    private let successes = Atomic<Int64>(0)
    private let failures = Atomic<Int64>(0)
    private let state = Mutex(State())

    private struct State {
        var ejection = Ejection()
        var cause: Ejection.Cause?
        var checked = CheckedHealth()
        var isChecked = false
        /// Empty where no check has ended.
        var lastCheck = ""
    }

    private enum Obstacle {
        static let ejected: UInt32 = 1
        static let unhealthy: UInt32 = 2
        static let unchecked: UInt32 = 4
    }

    init(_ address: SocketAddress, of upstream: UpstreamHealth) {
        self.address = address
        self.upstream = upstream
    }

    deinit { if state.withLock({ $0.ejection.isEjected }) { upstream.returned() } }

    /// False where calls are to go elsewhere if they can.
    @inline(always)
    var isAvailable: Bool { obstacles.load(ordering: .relaxed) == 0 }

    private func set(_ obstacle: UInt32, _ isSet: Bool) {
        if isSet {
            obstacles.bitwiseOr(obstacle, ordering: .relaxed)
        } else {
            obstacles.bitwiseAnd(~obstacle, ordering: .relaxed)
        }
    }

    // MARK: What calls tell

    /// Writes nothing where the last call succeeded as well.
    @inline(always)
    func callSucceeded() {
        if failuresInRow.load(ordering: .relaxed) != 0 {
            failuresInRow.store(0, ordering: .relaxed)
        }
    }

    /// How many there were in a row now.
    func callFailed() -> UInt32 { failuresInRow.wrappingAdd(1, ordering: .relaxed).newValue }

    func add(_ tally: Outliers.Tally) {
        if tally.successes > 0 { successes.wrappingAdd(tally.successes, ordering: .relaxed) }
        if tally.failures > 0 { failures.wrappingAdd(tally.failures, ordering: .relaxed) }
    }

    func takeTally() -> Outliers.Tally {
        Outliers.Tally(
            successes: successes.exchange(0, ordering: .relaxed),
            failures: failures.exchange(0, ordering: .relaxed))
    }

    // MARK: Ejection

    enum EjectionOutcome: Equatable {
        /// Nanoseconds that it lasts.
        case ejected(Int64)
        /// As many as may be are ejected.
        case capped
        case already
    }

    /// - allowed: how many endpoints of the upstream may be ejected at once.
    func eject(
        _ cause: Ejection.Cause, _ moment: Moment, _ terms: EjectionTerms, allowed: Int
    ) -> EjectionOutcome {
        state.withLock { state in
            guard !state.ejection.isEjected else { return .already }
            guard upstream.enter(allowed: allowed) else { return .capped }
            _ = state.ejection.eject(now: moment.now, terms, draw: moment.draw)
            state.cause = cause
            return began(state.ejection, moment)
        }
    }

    private func began(_ ejection: Ejection, _ moment: Moment) -> EjectionOutcome {
        failuresInRow.store(0, ordering: .relaxed)
        set(Obstacle.ejected, true)
        let until = ejection.until ?? moment.now
        upstream.probe(by: until)
        return .ejected(until - moment.now)
    }

    /// True where the caller's call is to decide whether it returns.
    func beginProbe(_ now: Int64, _ terms: EjectionTerms) -> Bool {
        state.withLock { $0.ejection.beginProbe(now: now, terms) }
    }

    /// When it is due, or the call that decides must have ended; nil where it is not ejected.
    var dueAt: Int64? { state.withLock { $0.ejection.until } }

    enum ProbeOutcome: Equatable {
        case returned
        case ejected(Int64)
        case none
    }

    func probeEnded(
        _ end: Ejection.ProbeEnd, _ moment: Moment, _ terms: EjectionTerms
    ) -> ProbeOutcome {
        state.withLock { state in
            guard state.ejection.isProbing else { return .none }
            if state.ejection.probeEnded(end, now: moment.now, terms, draw: moment.draw) {
                returned(&state)
                return .returned
            }
            guard end == .failed else {
                upstream.probe(by: moment.now)
                return .none
            }
            state.cause = .probe
            guard case .ejected(let time) = began(state.ejection, moment) else { return .none }
            return .ejected(time)
        }
    }

    private func returned(_ state: inout State) {
        state.cause = nil
        failuresInRow.store(0, ordering: .relaxed)
        set(Obstacle.ejected, false)
        upstream.returned()
    }

    /// Ends an ejection whatever its time; true where there was one.
    func restore(_ now: Int64) -> Bool {
        state.withLock { state in
            guard state.ejection.restore(now: now) else { return false }
            returned(&state)
            return true
        }
    }

    // MARK: Active checks

    /// It is checked from now on, or not any more: then nothing is known of it.
    func check(_ terms: HealthCheckTerms?) {
        state.withLock { state in
            state.isChecked = terms != nil
            guard let terms else {
                state.checked = CheckedHealth()
                state.lastCheck = ""
                set(Obstacle.unhealthy | Obstacle.unchecked, false)
                return
            }
            let isUnknown = state.checked.state == .unknown
            set(Obstacle.unchecked, isUnknown && !terms.usesUnchecked)
        }
    }

    /// What has changed by a check's result; nil for nothing.
    func checked(
        _ result: CheckedHealth.Result, words: String, _ terms: HealthCheckTerms
    ) -> CheckedHealth.State? {
        state.withLock { state in
            state.lastCheck = words
            guard state.checked.take(result, terms) else { return nil }
            let health = state.checked.state
            set(Obstacle.unhealthy, health == .unhealthy)
            set(Obstacle.unchecked, false)
            return health
        }
    }

    func delay(_ terms: HealthCheckTerms, draw: UInt64) -> Int64 {
        state.withLock { $0.checked.delay(terms.intervals, draw: draw) }
    }

    // MARK: For those who want to know

    public struct Facts: Sendable {
        public let address: SocketAddress
        public let isAvailable: Bool
        public let failuresInRow: UInt32
        /// Nil where it is not checked.
        public let checked: CheckedHealth.State?
        public let lastCheck: String
        /// Of the clock that never steps; nil where it is not ejected.
        public let ejectedUntil: Int64?
        public let isProbing: Bool
        public let ejections: Int
        public let cause: Ejection.Cause?
    }

    public var facts: Facts {
        state.withLock { state in
            Facts(
                address: address, isAvailable: isAvailable,
                failuresInRow: failuresInRow.load(ordering: .relaxed),
                checked: state.isChecked ? state.checked.state : nil, lastCheck: state.lastCheck,
                ejectedUntil: state.ejection.until, isProbing: state.ejection.isProbing,
                ejections: state.ejection.times, cause: state.cause)
        }
    }
}

/// When something happens, and a random number for it.
struct Moment {
    let now: Int64
    let draw: UInt64
}
