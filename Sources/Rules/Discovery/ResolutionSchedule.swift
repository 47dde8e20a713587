/// When a name is looked up. Performs no I/O; times are nanoseconds on a clock that never steps.
///
///     due -> asking -> resting -> due
///
/// An answer rests for its time to live, within bounds, and up to a twentieth more, so that not
/// everybody asks at once; never less, as a server that keeps answers would only give what is left
/// of the same one. A lookup that failed is made again after a second, doubled each time up to half
/// a minute. Whoever could not connect to what was found is served once, no sooner than `askedRest`
/// after the last lookup and a random while later: a service that is down must not take its DNS
/// server along.
public struct ResolutionSchedule: Sendable {
    public static let askedRest: Int64 = 5_000_000_000
    public static let askedSpread: Int64 = 1_000_000_000
    public static let retryMin: Int64 = 1_000_000_000
    public static let retryMax: Int64 = 30_000_000_000

    public private(set) var isAsking = false
    /// When the next lookup is due.
    public private(set) var nextAt: Int64
    private var endedAt: Int64?
    public private(set) var failures = 0

    public init(now: Int64) { nextAt = now }

    public func isDue(at now: Int64) -> Bool { !isAsking && now >= nextAt }

    public mutating func began() { isAsking = true }

    /// Gives how long the answer is kept.
    ///
    /// - ttl: as the answer has it, in nanoseconds. - chance: any number, for the jitter.
    public mutating func answered(
        ttl: Int64, within bounds: ClosedRange<Int64>, at now: Int64, chance: UInt64
    ) -> Int64 {
        let rest = min(max(ttl, bounds.lowerBound), bounds.upperBound)
        end(at: now)
        failures = 0
        nextAt = now + rest + Int64(chance % UInt64(max(rest / 20, 1)))
        return rest
    }

    public mutating func failed(at now: Int64, chance: UInt64) {
        end(at: now)
        failures = min(failures + 1, 1_000_000)
        let rest = min(Self.retryMax, Self.retryMin << Int64(min(failures - 1, 10)))
        let tenth = rest / 10
        nextAt = now + rest - tenth + Int64(chance % UInt64(2 * tenth))
    }

    private mutating func end(at now: Int64) {
        isAsking = false
        endedAt = now
    }

    /// What was found cannot be connected to.
    public mutating func asked(at now: Int64, chance: UInt64) {
        guard !isAsking, let endedAt else { return }
        let spread = Int64(chance % UInt64(Self.askedSpread))
        nextAt = min(nextAt, max(now, endedAt + Self.askedRest) + spread)
    }
}
