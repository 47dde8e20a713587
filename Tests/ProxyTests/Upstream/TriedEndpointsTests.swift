import Testing

@testable import Proxy

@Suite("Endpoints that were tried")
struct TriedEndpointsTests {
    @Test("the last four are known, each once")
    func lastFour() {
        var tried = TriedEndpoints()
        #expect(tried.isEmpty)
        for id in [3, 3, 1, 2, 1, 5, 6] as [UInt32] { tried.insert(id) }
        #expect(!tried.isEmpty)
        let known = (1...7 as ClosedRange<UInt32>).filter { tried.contains($0) }
        #expect(known == [1, 2, 5, 6])
    }
}
