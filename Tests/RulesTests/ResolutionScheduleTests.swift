import Rules
import Testing

@Suite struct ResolutionScheduleTests {
    private static let second: Int64 = 1_000_000_000
    private static let bounds = 5 * second...300 * second

    private static func asking(at now: Int64 = 0) -> ResolutionSchedule {
        var schedule = ResolutionSchedule(now: now)
        schedule.began()
        return schedule
    }

    @Test(
        "an answer rests for its time to live, within bounds, and never less",
        arguments: [
            (0, 5), (1, 5), (5, 5), (30, 30), (300, 300), (86_400, 300),
            (9_223_372_036, 300),
        ] as [(Int64, Int64)])
    func ttl(_ ttl: Int64, _ expected: Int64) {
        for chance in [0, 1, UInt64.max / 3, .max] {
            var schedule = Self.asking()
            let kept = schedule.answered(
                ttl: ttl * Self.second, within: Self.bounds, at: 7, chance: chance)
            #expect(kept == expected * Self.second)
            let rest = schedule.nextAt - 7
            #expect(rest >= kept && rest < kept + kept / 20)
            #expect(!schedule.isDue(at: 7 + kept - 1) && schedule.isDue(at: schedule.nextAt))
        }
    }

    @Test("failures are tried again after a second, doubled up to half a minute")
    func failures() {
        var schedule = Self.asking()
        var now: Int64 = 0
        for seconds: Int64 in [1, 2, 4, 8, 16, 30, 30, 30] {
            schedule.failed(at: now, chance: .max)
            let rest = schedule.nextAt - now
            #expect(abs(rest - seconds * Self.second) <= seconds * Self.second / 10)
            now = schedule.nextAt
            schedule.began()
        }
        _ = schedule.answered(ttl: 0, within: Self.bounds, at: now, chance: 0)
        #expect(schedule.failures == 0)
    }

    @Test("whoever cannot connect is served once, five seconds after the last lookup")
    func asked() {
        var schedule = ResolutionSchedule(now: 0)
        schedule.asked(at: 0, chance: 0)
        #expect(schedule.nextAt == 0)
        schedule.began()
        schedule.asked(at: 0, chance: 0)
        _ = schedule.answered(ttl: 300 * Self.second, within: Self.bounds, at: 0, chance: 0)
        schedule.asked(at: Self.second, chance: 9)
        #expect(schedule.nextAt == 5 * Self.second + 9)
        schedule.asked(at: 2 * Self.second, chance: 999_999_999)
        #expect(schedule.nextAt == 5 * Self.second + 9)
        schedule.began()
        schedule.failed(at: 60 * Self.second, chance: 0)
        let next = schedule.nextAt
        // One that is tried again soon in any case is not put off.
        schedule.asked(at: 60 * Self.second, chance: 0)
        #expect(schedule.nextAt == next)
    }
}
