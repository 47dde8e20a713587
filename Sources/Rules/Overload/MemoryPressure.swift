/// The stage that the memory in use calls for. Performs no I/O; times are nanoseconds on a clock
/// that never steps.
///
///     none <-> idle <-> requests <-> connections
///
/// Up at once, by as many stages as are due; down one at a time, and no sooner than
/// `restNanoseconds` after the last change, once there is `reliefPercent` less in use than what led
/// there: memory that goes up and down around a bound must not make Weir do so.
public struct MemoryPressure: Sendable {
    /// Of the budget, in percent, from which on each stage holds.
    public static let bounds: [(stage: OverloadStage, percent: UInt64)] = [
        (.idle, 80), (.requests, 90), (.connections, 95),
    ]
    public static let reliefPercent: UInt64 = 5
    public static let restNanoseconds: Int64 = 1_000_000_000
    /// How often to look where all is well, and where it may not stay so.
    public static let calmNanoseconds: Int64 = 1_000_000_000
    public static let alertNanoseconds: Int64 = 100_000_000
    private static let alertPercent: UInt64 = 50

    public private(set) var stage = OverloadStage.none
    public private(set) var nextAt: Int64 = 0
    private var changedAt: Int64 = .min

    public init() {}

    /// True where the stage has changed. A budget of 0 is none.
    public mutating func look(used: UInt64, budget: UInt64, at now: Int64) -> Bool {
        guard budget > 0 else {
            nextAt = .max
            return change(to: .none, at: now)
        }
        let percent = used > UInt64.max / 100 ? .max : used * 100 / budget
        let isCalm = percent < Self.alertPercent && stage == .none
        nextAt = now + (isCalm ? Self.calmNanoseconds : Self.alertNanoseconds)
        let due = Self.bounds.last { percent >= $0.percent }?.stage ?? .none
        if due > stage { return change(to: due, at: now) }
        guard due < stage, now >= changedAt + Self.restNanoseconds,
            let index = Self.bounds.firstIndex(where: { $0.stage == stage }),
            percent + Self.reliefPercent < Self.bounds[index].percent
        else { return false }
        return change(to: index > 0 ? Self.bounds[index - 1].stage : .none, at: now)
    }

    private mutating func change(to next: OverloadStage, at now: Int64) -> Bool {
        guard next != stage else { return false }
        stage = next
        changedAt = now
        return true
    }
}
