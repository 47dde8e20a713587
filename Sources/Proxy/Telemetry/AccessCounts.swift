internal import Configuration
internal import Rules
internal import Synchronization

/// What one worker let in and kept out by one rule, or by the default.
public final class AccessCounts: Sendable {
    /// The words of the block: verdicts in their order, then what dry runs would have changed.
    public enum Word {
        public static let verdicts = ["allowed", "denied", "unauthenticated", "unavailable"]
        public static let wouldAllow = 4
        public static let wouldRefuse = 5
        static let count = 6
    }

    /// Its name; empty for the default.
    public let rule: String
    public let block = CounterBlock(count: Word.count)

    init(rule: String) { self.rule = rule }
}

/// The counts of one worker, for whoever reads them.
public final class AccessRegistry: Sendable {
    private let entries = Mutex<[AccessCounts]>([])

    public init() {}

    public var all: [AccessCounts] { entries.withLock { $0 } }

    func add(_ counts: AccessCounts) { entries.withLock { $0.append(counts) } }
    func keep(_ names: Set<String>) {
        entries.withLock { $0.removeAll { !names.contains($0.rule) } }
    }
}

/// Counting decisions, by position and not by name.
extension Worker {
    @inline(always)
    func count(_ outcome: AccessOutcome, _ generation: Generation) {
        let decision = outcome.decision
        counts(of: decision.rule, generation).use { $0.add(1, at: Int(decision.verdict.rawValue)) }
        guard let rehearsal = outcome.rehearsal else { return }
        let word =
            rehearsal.isAllowed ? AccessCounts.Word.wouldAllow : AccessCounts.Word.wouldRefuse
        counts(of: rehearsal.rule, generation).use { $0.add(1, at: word) }
    }

    private func counts(of rule: Int32, _ generation: Generation) -> Borrowed<CounterBlock> {
        if let known = generation.accessCounts[Int(rule) + 1] { return known }
        let name = rule < 0 ? "" : generation.snapshot.access.rules[Int(rule)].name
        var counts = accessCounts[name]
        if counts == nil {
            let made = AccessCounts(rule: name)
            accessCounts[name] = made
            workspace.counters.access.add(made)
            counts = made
        }
        guard let counts else { preconditionFailure("counts were just made") }
        let block = Borrowed(counts.block)
        generation.accessCounts[Int(rule) + 1] = block
        return block
    }

    /// Drops the counts of rules that left the configuration, once no exchange began before that.
    func pruneAccessCounts(_ table: AccessTable) {
        let names = Set(table.rules.map(\.name) + [""])
        accessCounts = accessCounts.filter { names.contains($0.key) }
        workspace.counters.access.keep(names)
    }
}
