import Testing

@testable import Proxy

@Suite struct EventLogTests {
    @Test("entries are taken once, in order")
    func order() {
        let log = EventLog()
        log.write(.info, "first")
        log.write(.error, "second")
        let (entries, dropped) = log.take()
        #expect(entries.map(\.message) == ["first", "second"])
        #expect(entries.map(\.level) == [.info, .error])
        #expect(dropped == 0)
        #expect(log.take().entries.isEmpty)
    }

    @Test("what does not fit is dropped and counted, and there is room again afterwards")
    func bounded() {
        let log = EventLog()
        for number in 0..<5_000 { log.write(.debug, "\(number)") }
        let (entries, dropped) = log.take()
        #expect(entries.count == 4_096)
        #expect(entries.last?.message == "4095")
        #expect(dropped == 5_000 - 4_096)
        log.write(.debug, "again")
        let next = log.take()
        #expect(next.entries.map(\.message) == ["again"])
        #expect(next.dropped == 0)
    }

    @Test("none is lost where several threads write")
    func concurrently() async {
        let log = EventLog()
        await withTaskGroup(of: Void.self) { group in
            for writer in 0..<4 {
                group.addTask {
                    for number in 0..<2_000 { log.write(.debug, "\(writer) \(number)") }
                }
            }
        }
        let (entries, dropped) = log.take()
        #expect(entries.count + Int(dropped) == 8_000)
    }
}
