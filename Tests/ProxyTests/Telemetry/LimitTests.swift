import Testing

@testable import Configuration
@testable import Proxy

@Suite struct LimitTests {
    @Test("every limit has a name of its own")
    func unique() {
        let names = Limit.allCases.map(\.name)
        #expect(Set(names).count == names.count)
    }

    @Test("every limit's name is in docs/operations.md", arguments: Limit.allCases)
    func documented(limit: Limit) {
        #expect(Self.operations.contains("`\(limit.name)`"), "\(limit.name) is not documented")
    }

    @Test("every counter has a name of its own, and only those above 0 are told")
    func counters() {
        let counters = Counters()
        #expect(counters.nonZero.isEmpty)
        for event in Counters.Event.allCases { counters.add(event) }
        for limit in Limit.allCases { counters.add(limit) }
        counters.add(.pings)
        let names = counters.nonZero.map(\.name)
        #expect(Set(names).count == Counters.Event.allCases.count + Limit.allCases.count)
        #expect(counters.nonZero.first { $0.name == "limit.pings" }?.count == 2)
    }

    private static let operations: String = {
        let root = #filePath.dropLast("/Tests/ProxyTests/Telemetry/LimitTests.swift".count)
        let bytes = try? FileReader.read(root + "/docs/operations.md", limit: 1 << 20).get()
        return String(decoding: bytes ?? [], as: UTF8.self)
    }()
}
