import Testing

@testable import Proxy

@Suite struct MirrorCountsTests {
    @Test("there is room for so many copies, and for so many bytes, until they are let go")
    func room() {
        let counts = MirrorCounts()
        var places: [MirrorPlace] = []
        for _ in 0..<5 {
            if let place = counts.place(bytes: 10, copiesMax: 3, bytesMax: 1_000) {
                places.append(place)
            }
        }
        #expect(places.count == 3)
        #expect(counts.activeCount == 3)
        #expect(counts.place(bytes: 71, copiesMax: 9, bytesMax: 100) == nil)
        #expect(counts.place(bytes: 70, copiesMax: 9, bytesMax: 100) != nil)
        places.removeLast()
        #expect(counts.activeCount == 2)
        #expect(counts.place(bytes: 0, copiesMax: 3, bytesMax: 20) != nil)
        places = []
        #expect(counts.activeCount == 0)
        #expect(counts.place(bytes: 100, copiesMax: 1, bytesMax: 100) != nil)
    }

    @Test("what became of each is counted under a name of its own")
    func outcomes() {
        let counts = MirrorCounts()
        let place = counts.place(bytes: 1, copiesMax: 1, bytesMax: 1)
        place?.ended(isAnswered: true)
        place?.ended(isAnswered: false)
        place?.ended(isAnswered: false)
        counts.add(.notKept)
        counts.add(.noRoom)
        let found = MirrorCounts.Outcome.allCases.map { ("\($0.name)", counts.count($0)) }
        #expect(found.map(\.0) == ["answered", "failed", "not_kept", "no_room"])
        #expect(found.map(\.1) == [1, 2, 1, 1])
    }
}
