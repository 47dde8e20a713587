/// When a key set is fetched. Performs no I/O; times are nanoseconds on a clock that never steps.
///
///     due -> fetching -> resting -> due
///
/// A good fetch rests for the refresh, a bad one for a second, doubled each time up to a minute;
/// both with a tenth of jitter, so that not everybody asks at once. Who wants newer keys is served
/// once, and no sooner than `askedRest` after the last fetch: strangers choose when that is.
struct KeySchedule {
    static let askedRest: Int64 = 5_000_000_000
    static let retryMin: Int64 = 1_000_000_000
    static let retryMax: Int64 = 60_000_000_000

    private let refresh: Int64
    private(set) var isFetching = false
    /// When the next fetch is due.
    private(set) var nextAt: Int64
    private var endedAt: Int64?
    private var failures = 0

    init(refresh: Int64, now: Int64) {
        self.refresh = refresh
        nextAt = now
    }

    func isDue(at now: Int64) -> Bool { !isFetching && now >= nextAt }

    mutating func began() { isFetching = true }

    /// - chance: any number, for the jitter.
    mutating func ended(well: Bool, at now: Int64, chance: UInt64) {
        isFetching = false
        endedAt = now
        failures = well ? 0 : min(failures + 1, 10)
        let rest =
            well
            ? refresh : min(refresh, min(Self.retryMax, Self.retryMin << Int64(failures - 1)))
        let tenth = max(rest / 10, 1)
        nextAt = now + rest - tenth + Int64(chance % UInt64(2 * tenth))
    }

    /// A token names a key that is not there.
    mutating func asked(at now: Int64) {
        guard !isFetching else { return }
        let rest = failures > 0 ? Self.retryMin : Self.askedRest
        nextAt = min(nextAt, max(now, (endedAt ?? now - rest) + rest))
    }
}
