import TestKit
import Testing

@testable import Proxy

@Suite struct HeaderArenaTests {
    private static let room = HeaderArena.chunkBytes - 16

    @Test(
        "an allocation of any size can be filled and is aligned",
        arguments: [1, 7, 8, 9, 1_000, room - 1, room, room + 1, 2_016, 2_017, 70_000])
    func sizes(size: Int) {
        let pool = BlockPool()
        var arena = HeaderArena()
        for count in [size, 1, size] {
            let allocated = unsafe arena.allocate(count, from: pool)
            let address = UInt(bitPattern: allocated)
            #expect(address > 0 && address % 8 == 0)
            unsafe allocated?.initializeMemory(as: UInt8.self, repeating: 0xee, count: count)
        }
        arena.releaseAll(to: pool)
        #expect(pool.usedBytes == 0)
    }

    @Test("what is kept stays as it was until the reset", arguments: Seeds.chosen(default: 1...10))
    func keeps(seed: UInt64) throws {
        var chance = Chance(seed: seed)
        let pool = BlockPool()
        var arena = HeaderArena()
        for round in 0..<4 {
            var kept: [(view: ByteView, bytes: [UInt8])] = []
            for index in 0..<chance.below(300) {
                let size = chance.below(chance.pick([1, 40, 300, Self.room + 20, 9_000]))
                let bytes = [UInt8](repeating: UInt8(truncatingIfNeeded: index), count: size)
                if chance.hits(percent: 50) {
                    let view = arena.keep(bytes.span, from: pool)
                    kept.append((try #require(view), bytes))
                } else {
                    let view = arena.join(bytes.span, [1, 2].span, from: pool)
                    kept.append((try #require(view), bytes + [1, 2]))
                }
            }
            for (view, bytes) in kept {
                let isSame = view.use { view in
                    view.count == bytes.count && view.indices.allSatisfy { view[$0] == bytes[$0] }
                }
                #expect(isSame, "seed \(seed), round \(round)")
            }
            arena.reset(to: pool)
            // The first chunk stays, in the pool's size class.
            #expect(pool.usedBytes <= 2_016, "seed \(seed), round \(round)")
        }
        arena.releaseAll(to: pool)
        #expect(pool.usedBytes == 0, "seed \(seed)")
    }

    @Test("after a reset the same memory is used again")
    func reset() {
        let pool = BlockPool()
        var arena = HeaderArena()
        let first = unsafe arena.allocate(100, from: pool)
        unsafe _ = arena.allocate(70_000, from: pool)
        unsafe _ = arena.allocate(1_500, from: pool)
        arena.reset(to: pool)
        let isSame = unsafe arena.allocate(100, from: pool) == first
        #expect(isSame)
        arena.releaseAll(to: pool)
        arena.reset(to: pool)
        arena.releaseAll(to: pool)
        #expect(pool.usedBytes == 0)
    }
}
