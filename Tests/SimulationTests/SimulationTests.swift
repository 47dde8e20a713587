import TestKit
import Testing

/// `WEIR_SEEDS=N` runs so many instead of the fixed ones, `WEIR_SEED=S` replays one.
@Suite struct SimulationTests {
    static let seeds = Seeds.chosen(default: 1...50)

    @Test("every exchange ends once, as it may, and nothing leaks", arguments: seeds)
    func proxy(seed: UInt64) {
        let report = Simulation.run(seed: seed)
        #expect(report.violations.isEmpty, "\(report.text)")
    }

    @Test("clients and origins understand each other with no proxy between", arguments: seeds)
    func directly(seed: UInt64) {
        let report = Simulation.runDirectly(seed: seed)
        #expect(report.violations.isEmpty, "\(report.text)")
    }

    @Test("a seed is one history, byte for byte", arguments: [3, 7, 19, 36] as [UInt64])
    func replay(seed: UInt64) {
        let first = Simulation.run(seed: seed)
        let second = Simulation.run(seed: seed)
        #expect(first.digest == second.digest)
        #expect(first.steps == second.steps)
    }

    @Test("other seeds are other histories")
    func seedsDiffer() {
        let digests = Set((1...20).map { Simulation.run(seed: $0).digest })
        #expect(digests.count == 20)
    }

    @Test("most calls of many seeds end well, so that the seeds test more than failures")
    func mostSucceed() {
        let reports = (1...50).map { Simulation.run(seed: $0) }
        let calls = reports.reduce(0) { $0 + $1.calls }
        let complete = reports.reduce(0) { $0 + $1.complete }
        #expect(complete * 2 > calls)
        #expect(reports.count { $0.occurrences.counts["copied", default: 0] > 0 } > 8)
    }
}
