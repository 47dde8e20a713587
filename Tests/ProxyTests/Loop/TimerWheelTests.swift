import TestKit
import Testing

@testable import Proxy

@Suite struct TimerWheelTests {
    @Test(
        "it fires what a plain list would, never early and at most a millisecond late",
        arguments: Seeds.chosen(default: 1...12))
    func agreesWithList(seed: UInt64) {
        var run = WheelRun(seed: seed)
        for _ in 0..<2_000 where run.problem == nil { run.step() }
        run.advance(to: run.now + 30 * WheelRun.hour)
        let (problem, fired) = (run.problem, run.fired)
        #expect(problem == nil, "seed \(seed)")
        #expect(fired > 300, "seed \(seed): too few timers fired to show anything")
    }

    @Test(
        "a timer fires at the first millisecond that is not before its deadline",
        arguments: [
            (0, 0), (1, 1_000_000), (999_999, 1_000_000), (1_000_000, 1_000_000),
            (1_000_001, 2_000_000), (63_000_000, 63_000_000), (64_000_000, 64_000_000),
            (4_095_000_000, 4_095_000_000), (4_096_000_000, 4_096_000_000),
            (4_096_000_001, 4_097_000_000), (262_144_000_000, 262_144_000_000),
            (16_777_216_000_000, 16_777_216_000_000), (16_777_217_000_000, 16_777_217_000_000),
            (50_000_000_000_000, 50_000_000_000_000),
        ] as [(Int64, Int64)])
    func firstMillisecond(deadline: Int64, firesAt: Int64) {
        var wheel = TimerWheel<Int>(now: 0)
        _ = wheel.schedule(7, at: deadline)
        #expect(firesAt == 0 || wheel.popExpired(now: firesAt - 1) == nil)
        #expect(wheel.popExpired(now: firesAt) == 7)
        #expect(wheel.popExpired(now: firesAt) == nil)
        #expect(wheel.count == 0)
    }

    @Test("a deadline that has passed fires at once", arguments: [Int64.min, -1, 0, 1, 5_000_000])
    func past(deadline: Int64) {
        var wheel = TimerWheel<Int>(now: 5_000_000)
        _ = wheel.schedule(1, at: deadline)
        #expect(wheel.nextDeadline == 5_000_000)
        #expect(wheel.popExpired(now: 5_000_000) == 1)
    }

    @Test("a deadline of never does not fire and can be moved and cancelled")
    func never() {
        var wheel = TimerWheel<Int>(now: 0)
        var timer = wheel.schedule(1, at: .max)
        let day: Int64 = 24 * WheelRun.hour
        #expect(wheel.popExpired(now: day) == nil)
        let next = wheel.nextDeadline
        #expect(next.map { $0 > day } == true)
        wheel.move(timer, to: day + 1)
        #expect(wheel.popExpired(now: day + 1_000_000) == 1)
        timer = wheel.schedule(2, at: .max - 1)
        wheel.cancel(&timer)
        #expect(!timer.isScheduled)
        wheel.cancel(&timer)
        #expect(wheel.count == 0)
        let none = wheel.nextDeadline
        #expect(none == nil)
    }

    @Test("a wheel whose clock is near its end still keeps order")
    func lateClock() {
        let now = Int64.max - 10 * WheelRun.hour
        var wheel = TimerWheel<Int>(now: now)
        _ = wheel.schedule(2, at: now + WheelRun.hour)
        _ = wheel.schedule(1, at: now + 1)
        _ = wheel.schedule(3, at: .max)
        #expect(wheel.popExpired(now: now + 1_000_000) == 1)
        #expect(wheel.popExpired(now: now + WheelRun.hour + 1_000_000) == 2)
        #expect(wheel.popExpired(now: now + 2 * WheelRun.hour) == nil)
        let next = wheel.nextDeadline
        #expect(next.map { $0 > now } == true)
    }

    @Test("a timer that is moved while others of its millisecond fire does not fire with them")
    func moveAmongDue() {
        var wheel = TimerWheel<Int>(now: 0)
        let timers = (0..<3).map { wheel.schedule($0, at: 1_000_000) }
        // The newest of a millisecond fires first.
        #expect(wheel.popExpired(now: 1_000_000) == 2)
        wheel.move(timers[1], to: 2_000_000)
        #expect(wheel.popExpired(now: 1_000_000) == 0)
        #expect(wheel.popExpired(now: 1_000_000) == nil)
        #expect(wheel.popExpired(now: 2_000_000) == 1)
    }
}

/// A wheel beside a plain list of the same timers, under random use.
private struct WheelRun: ~Copyable {
    static let hour: Int64 = 3_600_000_000_000
    private static let scales: [Int64] = [
        1_000, 1_000_000, 64_000_000, 1_000_000_000, 60_000_000_000, 4 * hour, 40 * hour,
    ]

    private(set) var now: Int64
    private(set) var problem: String?
    private(set) var fired = 0
    private var chance: Chance
    private var wheel: TimerWheel<Int>
    private var timers: [Int: (deadline: Int64, timer: TimerWheel<Int>.Timer)] = [:]
    private var names = 0

    init(seed: UInt64) {
        chance = Chance(seed: seed)
        now = Int64(chance.below(Int(200 * Self.hour)))
        wheel = TimerWheel(now: now)
    }

    mutating func step() {
        switch chance.below(10) {
        case 0...3: schedule()
        case 4, 5: move()
        case 6: cancel()
        case 7: advance(to: wheel.nextDeadline ?? now)
        default:
            // Small steps mostly: a long one fires nearly everything.
            let scale = Self.scales[min(chance.below(12), chance.below(6))]
            advance(to: now + Int64(chance.below(Int(scale))))
        }
        checkNext()
    }

    private mutating func deadline() -> Int64 {
        if chance.hits(percent: 2) { return chance.pick([.max, 0, -5, .min]) }
        return now - 2_000_000 + Int64(chance.below(Int(chance.pick(Self.scales))))
    }

    private mutating func schedule() {
        names += 1
        let deadline = deadline()
        timers[names] = (deadline, wheel.schedule(names, at: deadline))
    }

    private mutating func name() -> Int? {
        timers.isEmpty ? nil : chance.pick(timers.keys.sorted())
    }

    private mutating func move() {
        guard let name = name(), let timer = timers[name]?.timer else { return }
        let deadline = deadline()
        wheel.move(timer, to: deadline)
        timers[name]?.deadline = deadline
    }

    private mutating func cancel() {
        guard let name = name(), var timer = timers.removeValue(forKey: name)?.timer else { return }
        wheel.cancel(&timer)
    }

    /// Fires what is due, as a worker does: some of what fires schedules again.
    mutating func advance(to time: Int64) {
        now = max(now, time)
        while let name = wheel.popExpired(now: now) {
            fired += 1
            guard let timer = timers.removeValue(forKey: name) else {
                return fail("\(name) fired that was not scheduled")
            }
            if timer.deadline > now { fail("\(name) fired \(timer.deadline - now) ns early") }
            if chance.hits(percent: 20) { schedule() }
        }
        for (name, timer) in timers where timer.deadline <= now - 1_000_000 {
            fail("\(name) is \(now - timer.deadline) ns late")
        }
        if let next = wheel.nextDeadline, next <= now { fail("asked at \(now) to come at \(next)") }
    }

    private mutating func checkNext() {
        if wheel.count != timers.count { fail("counts \(wheel.count) of \(timers.count)") }
        guard let earliest = timers.values.map(\.deadline).min() else {
            if wheel.nextDeadline != nil { fail("a deadline without a timer") }
            return
        }
        guard let next = wheel.nextDeadline else { return fail("no deadline for \(earliest)") }
        // Both are rounded up to a millisecond, before which nothing can fire.
        let due = max(earliest, now)
        if next / 1_000_000 > due / 1_000_000 + (due % 1_000_000 > 0 ? 1 : 0) {
            fail("comes at \(next), due at \(due)")
        }
    }

    private mutating func fail(_ words: String) { if problem == nil { problem = words } }
}
