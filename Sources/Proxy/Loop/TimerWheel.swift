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

    private static var slotsPerLevel: Int { 64 }
    private static var levels: Int { 4 }
    private static var tickNanoseconds: Int64 { 1_000_000 }

    private var nodes: [Node] = []
    private var heads = InlineArray<256, Int32>(repeating: -1)
    private var occupied = InlineArray<4, UInt64>(repeating: 0)
    private var freeNode: Int32 = -1
    private var currentTick: Int64
    private(set) var count = 0

    init(now: Int64) {
        currentTick = now / Self.tickNanoseconds
    }

    // MARK: Verbs

    mutating func schedule(_ target: Target, at deadline: Int64) -> Timer {
        let index = takeNode(target)
        insert(index, target, tick: Self.tick(of: deadline))
        count &+= 1
        return Timer(index: index)
    }

    mutating func move(_ timer: Timer, to deadline: Int64) {
        precondition(timer.isScheduled, "a timer that is not scheduled cannot move")
        let target = nodes[Int(timer.index)].target
        unlink(timer.index)
        insert(timer.index, target, tick: Self.tick(of: deadline))
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
            let bits = occupied[level]
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
        var level = 1
        while level < Self.levels, next & ((Int64(1) << (Int64(level) * 6)) - 1) == 0 {
            spread(level)
            level += 1
        }
    }

    private mutating func spread(_ level: Int) {
        let position = (currentTick >> (Int64(level) * 6)) & 63
        let slot = level * Self.slotsPerLevel + Int(position)
        var index = heads[slot]
        heads[slot] = -1
        occupied[level] &= ~(UInt64(1) << UInt64(position))
        while index >= 0 {
            let node = nodes[Int(index)]
            insert(index, node.target, tick: node.tick)
            index = node.next
        }
    }

    /// A node is written as a whole: each access to the array has its price.
    private mutating func insert(_ index: Int32, _ target: Target, tick: Int64) {
        let due = max(tick, currentTick)
        let level = Self.level(distance: due &- currentTick)
        let shift = Int64(level) &* 6
        // Beyond the wheel's range: the last slot of the highest level, and again from there.
        let clamped = min(due, currentTick &+ (Int64(63) &<< shift))
        let position = (clamped &>> shift) & 63
        let slot = Int(level) &* Self.slotsPerLevel &+ Int(position)
        let head = heads[slot]
        nodes[Int(index)] = Node(
            previous: -1, next: head, slot: Int32(truncatingIfNeeded: slot), tick: tick,
            target: target)
        if head >= 0 { nodes[Int(head)].previous = index }
        heads[slot] = index
        occupied[level] |= UInt64(1) &<< UInt64(position)
    }

    /// A level reaches six bits farther than the one below it.
    private static func level(distance: Int64) -> Int {
        let bits = 64 &- (distance | 1).leadingZeroBitCount
        return min((bits &- 1) / 6, levels &- 1)
    }

    private mutating func unlink(_ index: Int32) {
        let node = nodes[Int(index)]
        if node.next >= 0 { nodes[Int(node.next)].previous = node.previous }
        if node.previous >= 0 {
            nodes[Int(node.previous)].next = node.next
        } else {
            let slot = Int(node.slot)
            heads[slot] = node.next
            guard node.next < 0 else { return }
            occupied[slot &>> 6] &= ~(UInt64(1) &<< UInt64(slot & 63))
        }
    }

    private mutating func takeNode(_ target: Target) -> Int32 {
        guard freeNode >= 0 else {
            nodes.append(Node(previous: -1, next: -1, slot: 0, tick: 0, target: target))
            return Int32(nodes.count - 1)
        }
        let index = freeNode
        freeNode = nodes[Int(index)].next
        return index
    }

    private mutating func giveNode(_ index: Int32) {
        nodes[Int(index)].next = freeNode
        freeNode = index
        count &-= 1
    }
}
