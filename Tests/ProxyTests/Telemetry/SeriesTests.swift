import Testing

@testable import Proxy

@Suite struct LatencyBucketsTests {
    @Test(
        "a duration belongs to the first bound that is not below it",
        arguments: [
            (Int64(0), 0), (10_000, 0), (10_001, 1), (999_999, 6), (1_000_000, 6),
            (100_000_000_000, 39), (100_000_000_001, 40), (.max, 40),
        ])
    func position(_ nanoseconds: Int64, _ expected: Int) {
        #expect(LatencyBuckets.position(nanoseconds, in: LatencyBuckets.steps) == expected)
    }

    @Test("bounds rise, and there is a count for each and one beyond")
    func bounds() {
        let bounds = LatencyBuckets.bounds
        #expect(zip(bounds, bounds.dropFirst()).allSatisfy { $0 < $1 })
        #expect(LatencyBuckets.count == bounds.count + 1)
    }
}

@Suite struct CounterBlockTests {
    @Test("what a worker adds is read whole from another thread while it goes on adding")
    func threads() async {
        let block = CounterBlock(count: 2)
        let reader = Task.detached {
            var last: UInt64 = 0
            while last < 1_000_000 {
                let value = block[0]
                #expect(value >= last && value % 10 == 0)
                last = value
            }
        }
        for _ in 0..<100_000 { block.add(10, at: 0) }
        await reader.value
        #expect(block[0] == 1_000_000 && block[1] == 0)
        block.set(7, at: 1)
        #expect(block[1] == 7)
    }
}

@Suite struct OutcomeTests {
    @Test("every outcome has a name, and those of each kind differ")
    func names() {
        let grpc = (0..<Outcome.count).filter(Outcome.isGRPC).map(Outcome.name)
        let http = (0..<Outcome.count).filter { !Outcome.isGRPC($0) }.map(Outcome.name)
        #expect(Set(grpc).count == 19 && grpc[0] == "OK" && grpc[16] == "UNAUTHENTICATED")
        #expect(http == ["1xx", "2xx", "3xx", "4xx", "5xx", "none"])
    }
}

@Suite struct SeriesInUseTests {
    @Test(
        "series are in use until the exchange that is counted in them is over, each attempt's too")
    func inUse() throws {
        let fixture = try RequestFixture([])
        let workspace = fixture.worker.workspace
        let key = SeriesKey.clientCall(upstream: "u")
        let writers = (0..<4).map { _ in SeriesWriter(Series(key)) }
        let exchange = fixture.exchange
        exchange.series = Borrowed(writers[0])
        exchange.attempt.use { $0.series = Borrowed(writers[1]) }
        exchange.add(workspace.takeAttempt(of: exchange))
        exchange.attempt.use { $0.series = Borrowed(writers[2]) }
        #expect(workspace.seriesInUse == Set(writers[0..<3].map { ObjectIdentifier($0) }))
        workspace.give(exchange)
        #expect(workspace.seriesInUse.isEmpty)
    }
}
