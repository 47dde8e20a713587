/// Timers in four levels of 64 slots, a tick of 1 ms at the lowest: scheduling, moving and
/// cancelling cost the same however many there are.
///
///     level 0: 64 slots of 1 ms      level 2: 64 of 4.1 s
///     level 1: 64 slots of 64 ms     level 3: 64 of 4.4 min; later deadlines wait there and go
/// round
///
/// A slot of a higher level is spread over the lower ones when its time begins. A timer fires at
/// the first tick not before its deadline, never early.
struct TimerWheel<Target: BitwiseCopyable>: ~Copyable {
    /// Names a timer; stays valid until it fired or was cancelled.
    struct Timer: BitwiseCopyable {
        fileprivate var index: Int32
        static var none: Timer { Timer(index: -1) }
        var isScheduled: Bool { index >= 0 }
    }

    private struct Node {
        var previous: Int32
        var next: Int32
        var slot: Int32
        var tick: Int64
        var target: Target
    }

    private static var slotsPerLevel: Int32 { 64 }
    private static var levels: Int32 { 4 }
    private static var tickNanoseconds: Int64 { 1_000_000 }

    private var nodes: [Node] = []
    private var heads: [Int32]
    private var occupied: [UInt64] = [0, 0, 0, 0]
    private var freeNode: Int32 = -1
    private var currentTick: Int64
    private(set) var count = 0

    init(now: Int64) {
        heads = Array(repeating: -1, count: Int(Self.slotsPerLevel * Self.levels))
        currentTick = now / Self.tickNanoseconds
    }

    // MARK: Verbs

    mutating func schedule(_ target: Target, at deadline: Int64) -> Timer {
        let index = takeNode(target)
        insert(index, tick: Self.tick(of: deadline))
        count += 1
        return Timer(index: index)
    }

    mutating func move(_ timer: Timer, to deadline: Int64) {
        precondition(timer.isScheduled, "a timer that is not scheduled cannot move")
        unlink(timer.index)
        insert(timer.index, tick: Self.tick(of: deadline))
    }

    mutating func cancel(_ timer: inout Timer) {
        guard timer.isScheduled else { return }
        unlink(timer.index)
        giveNode(timer.index)
        timer = .none
    }

    /// The next due timer's target, or nil when none is left that is due by `now`. The timer is
    /// gone: its owner must forget it before it schedules another.
    mutating func popExpired(now: Int64) -> Target? {
        let nowTick = now / Self.tickNanoseconds
        guard count > 0 else {
            currentTick = max(currentTick, nowTick)
            return nil
        }
        while true {
            let slot = Int32(truncatingIfNeeded: currentTick & 63)
            let head = heads[Int(slot)]
            if head >= 0 {
                let target = nodes[Int(head)].target
                unlink(head)
                giveNode(head)
                return target
            }
            guard currentTick < nowTick else { return nil }
            advance(limit: nowTick)
        }
    }

    /// When `popExpired` should be called again: not later than the tick at which the earliest
    /// timer fires.
    var nextDeadline: Int64? {
        guard count > 0 else { return nil }
        var earliest = Int64.max
        for level in 0..<Self.levels {
            let bits = occupied[Int(level)]
            guard bits != 0 else { continue }
            let shift = Int64(level) * 6
            let position = currentTick >> shift
            let index = Int(position & 63)
            let rotated = index == 0 ? bits : bits >> UInt64(index) | bits << UInt64(64 - index)
            var distance = Int64(rotated.trailingZeroBitCount)
            // The current slot of a higher level was spread already: what is in it goes round.
            if level > 0 && distance == 0 { distance = Self.distanceAfterCurrent(rotated) }
            earliest = min(earliest, (position + distance) << shift)
        }
        return earliest * Self.tickNanoseconds
    }

    // MARK: Slots

    private static func distanceAfterCurrent(_ rotated: UInt64) -> Int64 {
        let others = rotated & ~1
        return others == 0 ? 64 : Int64(others.trailingZeroBitCount)
    }

    private static func tick(of deadline: Int64) -> Int64 {
        (min(max(deadline, 0), .max - tickNanoseconds) + (tickNanoseconds - 1)) / tickNanoseconds
    }

    /// Goes to the next tick at which anything can be due, at most to `limit`.
    private mutating func advance(limit: Int64) {
        var next = currentTick + 1
        if occupied[0] == 0 {
            // Nothing before the next slot of level 1 begins.
            next = min(limit, (currentTick | 63) + 1)
        }
        currentTick = next
        var level: Int32 = 1
        while level < Self.levels, next & ((Int64(1) << (Int64(level) * 6)) - 1) == 0 {
            spread(level)
            level += 1
        }
    }

    private mutating func spread(_ level: Int32) {
        let position = (currentTick >> (Int64(level) * 6)) & 63
        let slot = level * Self.slotsPerLevel + Int32(truncatingIfNeeded: position)
        var index = heads[Int(slot)]
        heads[Int(slot)] = -1
        occupied[Int(level)] &= ~(UInt64(1) << UInt64(position))
        while index >= 0 {
            let next = nodes[Int(index)].next
            insert(index, tick: nodes[Int(index)].tick)
            index = next
        }
    }

    private mutating func insert(_ index: Int32, tick: Int64) {
        nodes[Int(index)].tick = tick
        let due = max(tick, currentTick)
        let distance = due - currentTick
        var level: Int32 = 0
        while level < Self.levels - 1, distance >= Int64(1) << (Int64(level + 1) * 6) { level += 1 }
        // Beyond the wheel's range: the last slot of the highest level, and again from there.
        let clamped = min(due, currentTick + (Int64(63) << (Int64(level) * 6)))
        let position = (clamped >> (Int64(level) * 6)) & 63
        let slot = level * Self.slotsPerLevel + Int32(truncatingIfNeeded: position)
        let head = heads[Int(slot)]
        nodes[Int(index)].slot = slot
        nodes[Int(index)].previous = -1
        nodes[Int(index)].next = head
        if head >= 0 { nodes[Int(head)].previous = index }
        heads[Int(slot)] = index
        occupied[Int(level)] |= UInt64(1) << UInt64(position)
    }

    private mutating func unlink(_ index: Int32) {
        let node = nodes[Int(index)]
        if node.next >= 0 { nodes[Int(node.next)].previous = node.previous }
        if node.previous >= 0 {
            nodes[Int(node.previous)].next = node.next
        } else {
            heads[Int(node.slot)] = node.next
            if node.next < 0 {
                let level = Int(node.slot / Self.slotsPerLevel)
                occupied[level] &= ~(UInt64(1) << UInt64(node.slot % Self.slotsPerLevel))
            }
        }
    }

    private mutating func takeNode(_ target: Target) -> Int32 {
        let node = Node(previous: -1, next: -1, slot: 0, tick: 0, target: target)
        guard freeNode >= 0 else {
            nodes.append(node)
            return Int32(nodes.count - 1)
        }
        let index = freeNode
        freeNode = nodes[Int(index)].next
        nodes[Int(index)] = node
        return index
    }

    private mutating func giveNode(_ index: Int32) {
        nodes[Int(index)].next = freeNode
        freeNode = index
        count -= 1
    }
}
