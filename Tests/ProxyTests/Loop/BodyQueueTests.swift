import TestKit
import Testing

@testable import Proxy

@Suite struct BodyQueueTests {
    private static let segment = SegmentPool.segmentBytes

    @Test(
        "bytes come out as they went in, however they are cut",
        arguments: Seeds.chosen(default: 1...10))
    func agreesWithArray(seed: UInt64) {
        var chance = Chance(seed: seed)
        let pool = SegmentPool()
        let reader = QueueReader()
        var queue = BodyQueue()
        var model: [UInt8] = []
        var next: UInt8 = 0
        for _ in 0..<400 {
            if chance.hits(percent: 55) {
                let size = chance.pick([0, 1, 17, Self.segment - 1, Self.segment, 3 * Self.segment])
                let bytes = (0..<chance.below(size + 1)).map { _ -> UInt8 in
                    next = next &* 5 &+ 1
                    return next
                }
                queue.append(bytes, from: pool)
                model += bytes
            } else {
                let limit = chance.hits(percent: 20) ? queue.count : min(queue.count, 9_000)
                let count = chance.hits(percent: 10) ? limit : chance.below(limit + 1)
                let moved = reader.move(count, of: &queue, pool)
                #expect(moved.elementsEqual(model.prefix(count)), "seed \(seed)")
                model.removeFirst(count)
            }
            let count = queue.count
            #expect(count == model.count, "seed \(seed)")
            #expect(pool.used <= model.count / Self.segment + 2, "seed \(seed)")
        }
        let rest = reader.move(queue.count, of: &queue, pool)
        #expect(rest == model, "seed \(seed)")
        #expect(pool.used == 0, "seed \(seed)")
    }

    @Test(
        "a copy has all that is there and nothing that was before, and lives by itself",
        arguments: [0, 1, segment - 1, segment, segment + 1, 3 * segment + 7])
    func copied(size: Int) {
        let pool = SegmentPool()
        let reader = QueueReader()
        var queue = BodyQueue()
        let bytes = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        queue.append(bytes, from: pool)
        let gone = reader.move(size / 3, of: &queue, pool)
        var copy = BodyQueue()
        copy.append(copyOf: queue, from: pool)
        queue.removeAll(returning: pool)
        let count = copy.count
        let moved = reader.move(count, of: &copy, pool)
        #expect(gone + moved == bytes)
        #expect(pool.used == 0)
    }

    @Test(
        "an emptied queue holds no segment and takes bytes again",
        arguments: [1, segment - 1, segment, segment + 1, 2 * segment, 5 * segment + 7])
    func emptied(size: Int) {
        let pool = SegmentPool()
        let reader = QueueReader()
        var queue = BodyQueue()
        for round in 0..<3 {
            let bytes = [UInt8](repeating: UInt8(round + 1), count: size)
            queue.append(bytes, from: pool)
            #expect(pool.used == (size + Self.segment - 1) / Self.segment)
            let moved = reader.move(size, of: &queue, pool)
            #expect(moved == bytes)
            #expect(pool.used == 0)
        }
    }

    @Test(
        "readers read the same bytes, each at its own pace, and what one alone has had is dropped",
        arguments: Seeds.chosen(default: 1...20))
    func readers(seed: UInt64) {
        var chance = Chance(seed: seed)
        let pool = SegmentPool()
        let reader = QueueReader()
        var queue = BodyQueue()
        var model: [UInt8] = []
        var cursors = [BodyCursor(), BodyCursor()]
        var dropsFirst = false
        for step in 0..<200 {
            if step == 100 { dropsFirst = true }
            if chance.hits(percent: 40) {
                let size = chance.below(2 * Self.segment)
                let bytes = (0..<size).map { _ in UInt8(truncatingIfNeeded: chance.next()) }
                queue.append(bytes, from: pool)
                model += bytes
            }
            let index = dropsFirst ? 0 : chance.below(2)
            let unread = queue.unread(from: cursors[index])
            let start = Int(cursors[index].position)
            #expect(unread == model.count - start, "seed \(seed)")
            let count = chance.hits(percent: 30) ? unread : chance.below(unread + 1)
            let read = reader.copy(count, of: queue, &cursors[index])
            #expect(read.elementsEqual(model[start..<start + count]), "seed \(seed)")
            guard dropsFirst else { continue }
            queue.drop(before: &cursors[0], returning: pool)
            let (kept, total) = (queue.count, queue.total)
            #expect(kept == model.count - start - count && total == model.count, "seed \(seed)")
            #expect(pool.used <= kept / Self.segment + 2, "seed \(seed)")
        }
        queue.reset(returning: pool)
        #expect(pool.used == 0)
    }

    @Test("what is thrown away goes back to the pool")
    func removeAll() {
        let pool = SegmentPool()
        let reader = QueueReader()
        var queue = BodyQueue()
        queue.append([UInt8](repeating: 1, count: 3 * Self.segment), from: pool)
        _ = reader.move(10, of: &queue, pool)
        queue.removeAll(returning: pool)
        let count = queue.count
        #expect(count == 0)
        #expect(pool.used == 0)
        queue.append([7, 8], from: pool)
        let moved = reader.move(2, of: &queue, pool)
        #expect(moved == [7, 8])
    }

    @Test("segments are used again, and a pool keeps only so many")
    func segmentsRecycled() {
        let pool = SegmentPool()
        let first = unsafe pool.take()
        unsafe pool.give(first)
        let again = unsafe pool.take()
        let isSame = unsafe first == again
        #expect(isSame)
        unsafe pool.give(again)
        var queue = BodyQueue()
        queue.append([UInt8](repeating: 1, count: 1_100 * Self.segment), from: pool)
        #expect(pool.used == 1_100)
        queue.removeAll(returning: pool)
        #expect(pool.used == 0)
    }
}

/// Takes bytes out of a queue by way of an output buffer.
private final class QueueReader {
    private let output = OutputBuffer(capacity: 64 << 10)
    private let system = RecordingSystem()

    func move(_ byteCount: Int, of queue: inout BodyQueue, _ pool: SegmentPool) -> [UInt8] {
        var left = byteCount
        while left > 0 {
            let portion = min(left, output.room)
            queue.move(portion, to: output, returning: pool)
            _ = output.send(to: 0, system)
            output.removeAll()
            left -= portion
        }
        return system.takeSent()
    }

    func copy(
        _ byteCount: Int, of queue: borrowing BodyQueue, _ cursor: inout BodyCursor
    ) -> [UInt8] {
        var left = byteCount
        while left > 0 {
            let portion = min(left, output.room)
            queue.copy(portion, from: &cursor, to: output)
            _ = output.send(to: 0, system)
            output.removeAll()
            left -= portion
        }
        return system.takeSent()
    }
}
