public import Rules
internal import Synchronization
internal import Wire

/// The health of an upstream's endpoints, for the whole process. Survives reloads by the upstream's
/// name.
public final class UpstreamHealth: Sendable {
    private let records = Mutex<[SocketAddress: Entry]>([:])
    private let ejectedCount = Atomic<Int>(0)
    /// When to look whether an ejected endpoint is due; far away where none is ejected.
    private let probeAt = Atomic<Int64>(.max)
    /// When rates are looked at next.
    private let judgeAt = Atomic<Int64>(0)
    private let counts = Mutex(Counts())

    /// Lives for as long as some worker has the endpoint.
    private struct Entry {
        weak let record: EndpointRecord?
    }

    private struct Counts {
        var ejections = [UInt64](repeating: 0, count: Ejection.Cause.allCases.count)
        var withheld: UInt64 = 0
    }

    public init() {}

    /// The one record of an address.
    func record(of address: SocketAddress) -> EndpointRecord {
        records.withLock { records in
            if let known = records[address]?.record { return known }
            // Those that are gone, once there may be as many as there are others.
            if records.count >= 16, records.count.nonzeroBitCount == 1 {
                records = records.filter { $0.value.record != nil }
            }
            let record = EndpointRecord(address, of: self)
            records[address] = Entry(record: record)
            return record
        }
    }

    // MARK: Ejection

    /// Counts an endpoint in, unless as many as may be are ejected.
    func enter(allowed: Int) -> Bool {
        var count = ejectedCount.load(ordering: .relaxed)
        while count < allowed {
            let (isDone, found) = ejectedCount.weakCompareExchange(
                expected: count, desired: count + 1, ordering: .relaxed)
            if isDone { return true }
            count = found
        }
        return false
    }

    func returned() { ejectedCount.subtract(1, ordering: .relaxed) }

    /// An endpoint will be due.
    func probe(by due: Int64) { probeAt.min(due, ordering: .relaxed) }

    @inline(always)
    func isProbeDue(now: Int64) -> Bool { now >= probeAt.load(ordering: .relaxed) }

    /// Whoever looks for endpoints that are due forgets first, and then says by `probe` when the
    /// next will be: an endpoint that is ejected meanwhile is not forgotten.
    func forgetProbe() { probeAt.store(.max, ordering: .relaxed) }

    /// True for one worker in each interval.
    func isToJudge(now: Int64, interval: Int64) -> Bool {
        let at = judgeAt.load(ordering: .relaxed)
        guard now >= at else { return false }
        return judgeAt.compareExchange(
            expected: at, desired: now &+ interval, ordering: .relaxed
        ).exchanged
    }

    // MARK: Counts

    func count(_ cause: Ejection.Cause) {
        counts.withLock { $0.ejections[Int(cause.rawValue)] += 1 }
    }

    func countWithheld() { counts.withLock { $0.withheld += 1 } }

    /// How many endpoints are ejected.
    public var ejected: Int { ejectedCount.load(ordering: .relaxed) }

    /// Ejections since the upstream was first configured.
    public func ejections(_ cause: Ejection.Cause) -> UInt64 {
        counts.withLock { $0.ejections[Int(cause.rawValue)] }
    }

    /// Those that were not made, as enough endpoints were ejected.
    public var ejectionsWithheld: UInt64 { counts.withLock { $0.withheld } }

    /// Of all endpoints that workers have, by address.
    public var facts: [EndpointRecord.Facts] {
        records.withLock { $0.values.compactMap(\.record) }.map(\.facts)
            .sorted { "\($0.address)" < "\($1.address)" }
    }
}

extension Ejection.Cause {
    /// In logs and metrics.
    public var name: String {
        switch self {
        case .consecutiveFailures: "consecutive_failures"
        case .successRate: "success_rate"
        case .failureShare: "failure_share"
        case .probe: "probe"
        }
    }
}
