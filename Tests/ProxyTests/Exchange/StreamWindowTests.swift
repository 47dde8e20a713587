import TestKit
import Testing

@testable import Proxy

@Suite struct StreamWindowTests {
    private static let windows = HTTP2Session.Windows(stream: 400, streamMax: 1_000, connection: 0)

    @Test("it credits a quarter of a window or more, and grows after two windows' worth")
    func grows() {
        var window = StreamWindow()
        let credits = (0..<13).map { _ in
            window.bytesPassed(75, isDrained: true, Self.windows)
        }
        let quarter = StreamCredit(byteCount: 150, window: 0)
        let grown = StreamCredit(byteCount: 150, window: 800)
        #expect(
            credits == [
                nil, quarter, nil, quarter, nil, quarter, nil, quarter, nil, quarter, nil, grown,
                nil,
            ])
        // A quarter of 800 from now on, and at most 1,000.
        #expect(window.bytesPassed(124, isDrained: true, Self.windows) == nil)
        let next = window.bytesPassed(1, isDrained: true, Self.windows)
        #expect(next == StreamCredit(byteCount: 200, window: 0))
        let last = window.bytesPassed(1_600, isDrained: true, Self.windows)
        #expect(last == StreamCredit(byteCount: 1_600, window: 1_000))
        let more = window.bytesPassed(10_000, isDrained: true, Self.windows)
        #expect(more == StreamCredit(byteCount: 10_000, window: 0))
    }

    @Test("a queue that is never found empty keeps the window it began with")
    func stalled() {
        var window = StreamWindow()
        for _ in 0..<100 {
            let credit = window.bytesPassed(100, isDrained: false, Self.windows)
            #expect(credit == StreamCredit(byteCount: 100, window: 0))
        }
    }

    @Test(
        "the largest windows do not overflow",
        arguments: [1_073_741_824, 1_073_741_823, 1_024] as [Int32])
    func largest(stream: Int32) {
        let streamMax: Int32 = 1 << 30
        let windows = HTTP2Session.Windows(stream: stream, streamMax: streamMax, connection: 0)
        var window = StreamWindow()
        var size = stream
        for _ in 0..<40 {
            let credit = window.bytesPassed(3 << 30, isDrained: true, windows)
            if let grown = credit?.window, grown > 0 { size = grown }
        }
        #expect(size == streamMax)
    }

    @Test(
        "it never credits more than was passed, and owes less than a quarter of the window",
        arguments: Seeds.chosen(default: 1...50))
    func credits(seed: UInt64) {
        var chance = Chance(seed: seed)
        let stream = Int32(1 + chance.below(70_000))
        let streamMax = Int32(1 + chance.below(1 << 20))
        let windows = HTTP2Session.Windows(stream: stream, streamMax: streamMax, connection: 0)
        var window = StreamWindow()
        var size = stream
        var (passed, credited) = (0, 0)
        for _ in 0..<2_000 {
            let count = chance.below(chance.pick([2, 100, 20_000]))
            let isDrained = chance.hits(percent: 30)
            passed += count
            let credit = window.bytesPassed(count, isDrained: isDrained, windows)
            credited += credit?.byteCount ?? 0
            #expect(credited <= passed, "seed \(seed)")
            #expect(credit != nil || passed - credited <= max(0, Int(size) / 4 - 1), "seed \(seed)")
            guard let grown = credit?.window, grown > 0 else { continue }
            #expect(isDrained, "seed \(seed)")
            #expect(grown > size && grown <= min(size * 2, streamMax), "seed \(seed)")
            size = grown
        }
    }
}
