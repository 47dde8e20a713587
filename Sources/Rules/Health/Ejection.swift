/// Whether an endpoint is ejected, and who finds out whether it has recovered. Performs no I/O.
///
///     serving --eject--> ejected --time--> due --beginProbe--> probing
///        ^                  ^  ^                                 | | |
///        |                  |  +---------------- failed ---------+ | |
///        |                  +---- (due again) -- lost -------------+ |
///        +------------------------ succeeded ------------------------+
///
/// - due: its time is over; nothing happens until a call is sent there to see.
/// - probing: one call decides. One that never ends leaves the decision to another after a while.
/// Our bug: none; every verb is ignored in the states that it has no arrow from.
public struct Ejection: Equatable, Sendable {
    public enum Cause: UInt8, Sendable, CaseIterable {
        case consecutiveFailures, successRate, failureShare, probe
    }

    public enum ProbeEnd: Sendable {
        case succeeded, failed
        /// It ended without saying anything of the endpoint: its caller left.
        case lost
    }

    private enum Phase: Equatable {
        case serving
        case ejected(until: Int64)
        case probing(until: Int64)
    }

    private var phase = Phase.serving
    /// Ejections that are not forgiven yet: the next lasts that much longer.
    public private(set) var times = 0
    /// When it last returned.
    private var servingSince: Int64 = 0

    public init() {}

    public var isEjected: Bool { phase != .serving }

    /// When it is due; nil where it is not ejected.
    public var until: Int64? {
        switch phase {
        case .serving: nil
        case .ejected(let until), .probing(let until): until
        }
    }

    public var isProbing: Bool { if case .probing = phase { true } else { false } }

    /// False where it is ejected already.
    public mutating func eject(now: Int64, _ terms: EjectionTerms, draw: UInt64) -> Bool {
        guard phase == .serving else { return false }
        forgive(now: now, terms)
        begin(now: now, terms, draw: draw)
        return true
    }

    private mutating func begin(now: Int64, _ terms: EjectionTerms, draw: UInt64) {
        times = min(times + 1, Self.timesMax)
        phase = .ejected(until: now &+ terms.time(of: times, draw: draw))
    }

    private static let timesMax = 1_000_000

    /// One less for each interval since it returned.
    private mutating func forgive(now: Int64, _ terms: EjectionTerms) {
        let intervals = max(0, now - servingSince) / max(terms.interval, 1)
        times = max(0, times - Int(clamping: intervals))
    }

    public func isDue(now: Int64) -> Bool { until.map { now >= $0 } ?? false }

    /// True where the caller is to send the call that decides: one alone, unless it takes longer
    /// than an interval.
    public mutating func beginProbe(now: Int64, _ terms: EjectionTerms) -> Bool {
        guard isDue(now: now) else { return false }
        phase = .probing(until: now &+ terms.interval)
        return true
    }

    /// True where the endpoint returns; after `failed` it is ejected for longer.
    public mutating func probeEnded(
        _ end: ProbeEnd, now: Int64, _ terms: EjectionTerms, draw: UInt64
    ) -> Bool {
        guard isProbing else { return false }
        switch end {
        case .succeeded: return restore(now: now)
        case .failed: begin(now: now, terms, draw: draw)
        case .lost: phase = .ejected(until: now)
        }
        return false
    }

    /// Something else than a call has shown that it works; false where it is not ejected.
    public mutating func restore(now: Int64) -> Bool {
        guard phase != .serving else { return false }
        phase = .serving
        servingSince = now
        return true
    }
}
