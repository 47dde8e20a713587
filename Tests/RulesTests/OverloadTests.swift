import Rules
import Testing

@Suite struct OverloadTests {
    private static let second: Int64 = 1_000_000_000
    private static let millisecond: Int64 = 1_000_000

    @Test("memory leads up at once and down one stage a second, with room in between")
    func memory() {
        var pressure = MemoryPressure()
        // Seconds, percent of the budget, the stage that follows.
        let steps: [(Int64, UInt64, OverloadStage)] = [
            (0, 10, .none), (1, 79, .none), (2, 80, .idle), (3, 76, .idle), (4, 75, .idle),
            (5, 74, .none), (6, 99, .connections), (7, 90, .connections), (8, 89, .requests),
            (9, 86, .requests), (10, 20, .idle), (11, 20, .none), (12, 94, .requests),
            (13, 95, .connections), (14, 10, .requests), (15, 91, .requests), (16, 10, .idle),
        ]
        for (at, percent, stage) in steps {
            let before = pressure.stage
            let changed = pressure.look(used: percent * 10, budget: 1_000, at: at * Self.second)
            #expect(pressure.stage == stage, "at \(at)")
            #expect(changed == (before != stage))
        }
    }

    @Test("a stage rests for a second before it is left, and for nothing before the next")
    func rest() {
        var pressure = MemoryPressure()
        // Percent of the budget, milliseconds, the stage that follows.
        let steps: [(UInt64, Int64, OverloadStage)] = [
            (85, 0, .idle), (0, 999, .idle), (91, 999, .requests), (0, 1_000, .requests),
            (0, 1_998, .requests), (0, 1_999, .idle), (0, 2_999, .none),
        ]
        for (percent, at, stage) in steps {
            _ = pressure.look(used: percent, budget: 100, at: at * Self.millisecond)
            #expect(pressure.stage == stage, "at \(at)")
        }
        _ = pressure.look(used: 99, budget: 100, at: 3 * Self.second)
        _ = pressure.look(used: 99, budget: 0, at: 3 * Self.second)
        #expect(pressure.stage == .none && pressure.nextAt == .max)
    }

    @Test("it is looked more often from half the budget on")
    func often() {
        var pressure = MemoryPressure()
        _ = pressure.look(used: 49, budget: 100, at: 0)
        #expect(pressure.nextAt == MemoryPressure.calmNanoseconds)
        _ = pressure.look(used: 50, budget: 100, at: 0)
        #expect(pressure.nextAt == MemoryPressure.alertNanoseconds)
        _ = pressure.look(used: .max, budget: 100, at: 0)
        #expect(pressure.stage == .connections)
    }

    /// Turns by their lag and end in milliseconds, each with the stage that follows.
    private static func expect(
        _ lag: inout LoopLag, _ turns: [(lag: Int64, at: Int64, stage: OverloadStage)]
    ) {
        for turn in turns {
            let before = lag.stage
            let changed = lag.turned(lag: turn.lag * millisecond, at: turn.at * millisecond)
            #expect(lag.stage == turn.stage, "at \(turn.at)")
            #expect(changed == (before != turn.stage), "at \(turn.at)")
        }
    }

    @Test("turns that are all late are overload after a second, one that is late is none")
    func lag() {
        var lag = LoopLag(limit: 100 * Self.millisecond)
        #expect(lag.noteworthy == 100 * Self.millisecond)
        Self.expect(&lag, [(60_000, 60_000, .none)])
        #expect(lag.noteworthy == 0)
        Self.expect(&lag, [(0, 60_001, .none)])
        let late: [(lag: Int64, at: Int64, stage: OverloadStage)] = (1...20).map {
            (100, 100_000 + $0 * 100, $0 < 10 ? .none : .requests)
        }
        Self.expect(&lag, late)
        #expect(lag.noteworthy == 0)
        Self.expect(
            &lag,
            [
                (400, 102_000, .connections), (50, 102_500, .connections),
                (49, 103_400, .connections), (49, 103_500, .none),
            ])
    }

    @Test("time alone ends it")
    func time() {
        var lag = LoopLag(limit: Self.millisecond)
        // Few turns are no overload however long they are.
        Self.expect(
            &lag,
            [(10_000, 10_000, .none), (10_000, 20_000, .none), (10_000, 30_000, .connections)])
        let early = lag.looked(at: 30_999 * Self.millisecond)
        let late = lag.looked(at: 31 * Self.second)
        #expect(!early && late && lag.stage == .none)
    }

    @Test("another limit forgets what was, and none never says anything")
    func limits() {
        var lag = LoopLag(limit: Self.millisecond)
        Self.expect(&lag, [(9, 9, .none), (999, 1_008, .none), (1_000, 2_008, .connections)])
        lag.set(limit: Self.millisecond)
        #expect(lag.stage == .connections)
        lag.set(limit: 0)
        #expect(lag.stage == .none && lag.noteworthy == .max)
        Self.expect(&lag, [(9_999, 9_999, .none), (9_999, 19_998, .none), (9_999, 29_997, .none)])
    }
}
