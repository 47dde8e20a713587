import TestKit
import Testing

@testable import Proxy

@Suite struct BlockPoolTests {
    /// Around the size classes, the largest small block, the frame buffer and whole pages.
    private static let sizes = [
        0, 1, 31, 32, 33, 64, 2_047, 2_048, 2_049, 4_095, 4_096, 4_097, 16_384, 16_385, 16_394,
        20_480, 20_481, 32_768, 32_769, 200_000,
    ]

    @Test("a block holds its bytes, and a freed small one is used again", arguments: sizes)
    func oneBlock(size: Int) {
        let pool = BlockPool()
        let first = unsafe pool.allocate(size)
        let address = UInt(bitPattern: first)
        #expect(address > 0 && address % 16 == 0)
        unsafe first?.initializeMemory(as: UInt8.self, repeating: 0xaa, count: size)
        let isSmall = size > 0 && size <= 2_048
        #expect(isSmall ? pool.usedBytes >= size : pool.usedBytes == 0)
        unsafe pool.release(first)
        #expect(pool.usedBytes == 0)
        let second = unsafe pool.allocate(size)
        let isSame = unsafe first == second
        #expect(isSame || !isSmall)
        unsafe pool.release(second)
    }

    @Test("a zeroed block is zero although one before it was not", arguments: sizes)
    func zeroed(size: Int) {
        let pool = BlockPool()
        for _ in 0..<3 {
            let block = unsafe pool.allocateZeroed(size)
            let bytes = unsafe UnsafeRawBufferPointer(start: block, count: size)
            let isZero = unsafe block != nil && bytes.allSatisfy { $0 == 0 }
            #expect(isZero)
            unsafe block?.initializeMemory(as: UInt8.self, repeating: 0xff, count: size)
            unsafe pool.release(block)
            #expect(pool.usedBytes == 0)
        }
    }

    @Test("nothing can be released, and a resize of nothing is an allocation")
    func nothing() {
        let pool = BlockPool()
        unsafe pool.release(nil)
        let block = unsafe pool.resize(nil, to: 40)
        #expect(pool.usedBytes == 64)
        unsafe pool.release(block)
        #expect(pool.usedBytes == 0)
    }

    @Test(
        "blocks keep their bytes while others come, grow, shrink and go",
        arguments: Seeds.chosen(default: 1...10))
    func manyBlocks(seed: UInt64) {
        var chance = Chance(seed: seed)
        let pool = BlockPool()
        var blocks: [PatternedBlock] = []
        for round in 0..<3_000 {
            let size = chance.hits(percent: 90) ? chance.below(2_500) : chance.pick(Self.sizes)
            let index = chance.below(blocks.count)
            switch chance.below(4) {
            case 0, 1:
                let isZeroed = chance.hits(percent: 50)
                let block = unsafe isZeroed ? pool.allocateZeroed(size) : pool.allocate(size)
                unsafe blocks.append(PatternedBlock(block, size, UInt8(truncatingIfNeeded: round)))
            case 2 where !blocks.isEmpty:
                unsafe blocks[index].start = pool.resize(blocks[index].start, to: size)
                blocks[index].count = min(blocks[index].count, size)
                #expect(blocks[index].isWhole, "seed \(seed), round \(round)")
            default:
                guard !blocks.isEmpty else { continue }
                let block = blocks.remove(at: index)
                #expect(block.isWhole, "seed \(seed), round \(round)")
                unsafe pool.release(block.start)
            }
        }
        for block in blocks {
            #expect(block.isWhole, "seed \(seed)")
            unsafe pool.release(block.start)
        }
        #expect(pool.usedBytes == 0, "seed \(seed)")
    }
}

/// A block filled with one byte: whoever writes into it by mistake is found.
@safe
private struct PatternedBlock {
    var start: UnsafeMutableRawPointer?
    var count: Int
    private let pattern: UInt8

    init(_ start: UnsafeMutableRawPointer?, _ count: Int, _ pattern: UInt8) {
        unsafe self.start = start
        self.count = count
        self.pattern = pattern
        unsafe start?.initializeMemory(as: UInt8.self, repeating: pattern, count: count)
    }

    var isWhole: Bool {
        let bytes = unsafe UnsafeRawBufferPointer(start: start, count: count)
        return unsafe start != nil && bytes.allSatisfy { $0 == pattern }
    }
}
