import Testing

@testable import Proxy

@Suite struct GatheringTests {
    /// How many looks each of `turns` turns makes where every look finds `found`.
    private func looks(turns: Int, found: Int, bytes: Int = 0) -> [Int] {
        var gathering = Gathering()
        return (0..<turns).map { _ in
            gathering.turnBegan()
            var looks = 0
            while gathering.wantsLook {
                looks += 1
                gathering.looked(found: found)
                gathering.received(bytes)
            }
            return looks
        }
    }

    @Test("where nothing is found, ever fewer turns look")
    func restsWhereNothingIsFound() {
        let turns = looks(turns: 200, found: 0)
        #expect(Array(turns.prefix(12)) == [1, 0, 1, 0, 0, 1, 0, 0, 0, 0, 1, 0])
        #expect(turns.allSatisfy { $0 <= 1 })
        let last = turns.suffix(2 * (Gathering.restMax + 1)).reduce(0, +)
        #expect(last == 2, "one look in \(Gathering.restMax + 1) turns, and no fewer")
    }

    @Test("a turn looks a few times at most, however much there is")
    func looksAreBounded() {
        #expect(looks(turns: 3, found: 5) == Array(repeating: Gathering.looksMax, count: 3))
    }

    @Test("a turn that has read much writes it first")
    func bytesAreBounded() {
        #expect(looks(turns: 2, found: 1, bytes: Gathering.bytesMax) == [1, 1])
        #expect(looks(turns: 2, found: 1, bytes: Gathering.bytesMax / 2) == [2, 2])
    }

    @Test("a look that finds something ends the rest")
    func findingEndsRest() {
        var gathering = Gathering()
        for _ in 0..<200 {
            gathering.turnBegan()
            if gathering.wantsLook { gathering.looked(found: 0) }
        }
        while true {
            gathering.turnBegan()
            if gathering.wantsLook { break }
        }
        gathering.looked(found: 1)
        gathering.looked(found: 0)
        gathering.turnBegan()
        #expect(gathering.wantsLook)
    }
}
