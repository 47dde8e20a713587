import Testing

@testable import Control

/// Times in seconds; the chance 0 takes a tenth off each rest.
@Suite("When a key set is fetched")
struct KeyScheduleTests {
    private static let second: Int64 = 1_000_000_000

    private static func schedule(refresh: Int64 = 300) -> KeySchedule {
        KeySchedule(refresh: refresh * second, now: 0)
    }

    @Test("at once, and then after each refresh with a tenth of jitter either way")
    func refreshes() {
        var schedule = Self.schedule()
        #expect(schedule.isDue(at: 0))
        schedule.began()
        #expect(!schedule.isDue(at: 10 * Self.second))
        schedule.ended(well: true, at: 0, chance: 0)
        #expect(schedule.nextAt == 270 * Self.second)
        schedule.ended(well: true, at: 0, chance: UInt64(60 * Self.second - 1))
        #expect(schedule.nextAt == 330 * Self.second - 1)
    }

    @Test("after failures sooner, and then less and less often, up to a minute")
    func backsOff() {
        var schedule = Self.schedule()
        var rests: [Int64] = []
        for _ in 0..<9 {
            schedule.began()
            schedule.ended(well: false, at: 0, chance: UInt64(Self.second / 10))
            rests.append(schedule.nextAt / Self.second)
        }
        #expect(rests == [1, 1, 3, 7, 14, 28, 54, 54, 54])
        schedule.ended(well: true, at: 0, chance: 0)
        #expect(schedule.nextAt == 270 * Self.second)
        var short = Self.schedule(refresh: 10)
        for _ in 0..<9 { short.ended(well: false, at: 0, chance: 0) }
        #expect(short.nextAt == 9 * Self.second)
    }

    @Test("when a token names an unknown key: once, and not again for a while")
    func asked() {
        var schedule = Self.schedule()
        schedule.began()
        schedule.asked(at: 0)
        schedule.ended(well: true, at: 0, chance: 0)
        schedule.asked(at: Self.second)
        #expect(schedule.nextAt == 5 * Self.second)
        schedule.asked(at: 7 * Self.second)
        #expect(schedule.nextAt == 5 * Self.second)
        #expect(schedule.isDue(at: 7 * Self.second))
        schedule.began()
        schedule.asked(at: 7 * Self.second)
        #expect(!schedule.isDue(at: 7 * Self.second))
        schedule.ended(well: true, at: 8 * Self.second, chance: 0)
        schedule.asked(at: 60 * Self.second)
        #expect(schedule.nextAt == 60 * Self.second)
    }
}
