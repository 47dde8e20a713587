import TestKit
import Testing

@testable import Proxy

@Suite struct HeaderBlockTests {
    @Test(
        "fields stay as they were added, whatever is added after them",
        arguments: Seeds.chosen(default: 1...10))
    func keeps(seed: UInt64) throws {
        var chance = Chance(seed: seed)
        let pool = BlockPool()
        var arena = HeaderArena()
        var block = HeaderBlock()
        var shared = HeaderBlock()
        var model: [(name: String, value: String)] = []
        for index in 0..<200 {
            let name = "name-\(index)"
            let value = String(repeating: "v", count: chance.below(chance.pick([1, 50, 3_000])))
            let nameKept = arena.keep(Array(name.utf8).span, from: pool)
            let valueKept = arena.keep(Array(value.utf8).span, from: pool)
            let (nameView, valueView) = (try #require(nameKept), try #require(valueKept))
            let isAdded =
                chance.hits(percent: 50)
                ? block.append(copying: nameView, valueView, flags: 0, in: &arena, from: pool)
                : block.append(nameView, valueView, in: &arena, from: pool)
            #expect(isAdded)
            if chance.hits(percent: 50) {
                let isShared = shared.append(from: block, at: index, in: &arena, pool)
                #expect(isShared)
                model.append((name, value))
            }
        }
        #expect(block.count == 200)
        #expect(shared.count == model.count, "seed \(seed)")
        for (index, field) in model.enumerated() {
            #expect(shared.name(index).text == field.name, "seed \(seed)")
            #expect(shared.value(index).text == field.value, "seed \(seed)")
        }
        arena.releaseAll(to: pool)
        #expect(pool.usedBytes == 0, "seed \(seed)")
    }

    @Test("a value can be replaced, a block emptied and filled again")
    func changes() {
        let pool = BlockPool()
        var arena = HeaderArena()
        var block = HeaderBlock()
        var isWhole = block.append("a", "1", in: &arena, from: pool)
        isWhole = block.append("b", "2", isIndexed: false, in: &arena, from: pool) && isWhole
        block.setValue(0, "other")
        #expect(block.value(0).text == "other")
        #expect(block.value(1).text == "2")
        block.removeAll()
        #expect(block.count == 0)
        isWhole = block.append("c", "3", in: &arena, from: pool) && isWhole
        #expect(isWhole)
        #expect(block.name(0).text == "c")
        arena.releaseAll(to: pool)
    }

    @Test("an empty value is a value")
    func empty() {
        let pool = BlockPool()
        var arena = HeaderArena()
        var block = HeaderBlock()
        var isWhole = block.append(copying: "a", .empty, flags: 0, in: &arena, from: pool)
        isWhole = block.append(copying: .empty, .empty, flags: 0, in: &arena, from: pool) && isWhole
        #expect(isWhole)
        #expect(block.value(0).isEmpty && block.value(1).isEmpty)
        arena.releaseAll(to: pool)
    }
}

extension ByteView: ExpressibleByStringLiteral {
    public init(stringLiteral value: StaticString) { self.init(value) }
}
