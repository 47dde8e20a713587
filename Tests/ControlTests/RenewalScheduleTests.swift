import Testing

@testable import Control

@Suite("Renewing identities")
struct RenewalScheduleTests {
    private static func subject(
        _ name: String = "self", digest: UInt8 = 1, from: Int64 = 1_000, to: Int64 = 2_000
    ) -> RenewalSchedule.Subject {
        .init(name: name, digest: [digest], notBefore: from, notAfter: to)
    }

    private static func schedule(_ subjects: [RenewalSchedule.Subject]) -> RenewalSchedule {
        var schedule = RenewalSchedule()
        schedule.follow(subjects) { 0.5 }
        return schedule
    }

    @Test("happens at half of the life, once at a time")
    func half() {
        var schedule = Self.schedule([Self.subject(), Self.subject("other", from: 1_002)])
        #expect(schedule.takeDue(at: 1_499).isEmpty)
        #expect(schedule.takeDue(at: 1_500) == ["self"])
        #expect(schedule.takeDue(at: 1_500).isEmpty)
        #expect(schedule.takeDue(at: 1_501) == ["other"])
    }

    @Test("happens again after a failure, ever later up to five minutes")
    func failures() {
        var schedule = Self.schedule([Self.subject(to: 100_000)])
        var now: Int64 = 60_000
        for delay: Int64 in [5, 10, 20, 40, 80, 160, 300, 300, 300] {
            #expect(schedule.takeDue(at: now) == ["self"])
            schedule.ended("self", [1], isRenewed: false, at: now)
            #expect(schedule.takeDue(at: now + delay - 1).isEmpty)
            now += delay
        }
    }

    @Test("waits for the configuration that brings the new one, and goes on if it never does")
    func renewed() {
        var schedule = Self.schedule([Self.subject(to: 10_000)])
        #expect(schedule.takeDue(at: 5_500) == ["self"])
        schedule.ended("self", [1], isRenewed: true, at: 5_500)
        #expect(schedule.takeDue(at: 7_749).isEmpty)
        #expect(schedule.takeDue(at: 7_750) == ["self"])
        schedule.follow([Self.subject(digest: 2, from: 5_500, to: 14_500)]) { 0.5 }
        schedule.ended("self", [1], isRenewed: false, at: 7_760)
        #expect(schedule.takeDue(at: 9_999).isEmpty)
        #expect(schedule.takeDue(at: 10_000) == ["self"])
    }

    @Test("a reload that changes nothing keeps what is known")
    func reload() {
        var schedule = Self.schedule([Self.subject()])
        #expect(schedule.takeDue(at: 1_600) == ["self"])
        schedule.follow([Self.subject()]) { 0.45 }
        #expect(schedule.takeDue(at: 1_600).isEmpty)
        schedule.follow([]) { 0.5 }
        schedule.ended("self", [1], isRenewed: true, at: 1_600)
        #expect(schedule.takeDue(at: 9_999).isEmpty)
    }
}
