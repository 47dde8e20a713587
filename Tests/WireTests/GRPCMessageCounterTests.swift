import Testing
import Wire

@Suite struct GRPCMessageCounterTests {
    private static func body(_ lengths: [Int]) -> [UInt8] {
        lengths.flatMap { length in
            let prefix = [0, 24, 16, 8, 0].enumerated().map { index, shift in
                index == 0 ? UInt8(0) : UInt8(truncatingIfNeeded: length >> shift)
            }
            // Bytes that read as lengths, if they are mistaken for a prefix.
            return prefix + [UInt8](repeating: 1, count: length)
        }
    }

    private static func count(_ body: [UInt8], splitAt places: [Int]) -> GRPCMessageCounter {
        var counter = GRPCMessageCounter()
        var start = 0
        for end in places + [body.count] {
            counter.pass(body.span.extracting(start..<end))
            start = end
        }
        return counter
    }

    @Test(
        "messages are counted wherever the body is split",
        arguments: [
            [], [0], [1], [5], [0, 0], [3, 0, 7], [300], [256, 1, 0, 4, 5, 6], [65_536, 2],
        ])
    func splits(lengths: [Int]) {
        let body = Self.body(lengths)
        let step = max(1, body.count / 500)
        for first in stride(from: 0, through: body.count, by: step) {
            for second in [first, min(first + 1, body.count), min(first + 4, body.count)] {
                let counter = Self.count(body, splitAt: [first, second])
                #expect(counter.count == lengths.count)
                #expect(counter.isBetweenMessages)
            }
        }
        let bytewise = Self.count(body, splitAt: Array(0..<body.count))
        #expect(bytewise.count == lengths.count)
    }

    @Test("a message counts with its last byte, not before", arguments: [0, 1, 5, 20])
    func unfinished(length: Int) {
        let body = Self.body([2, length])
        for end in 0..<body.count {
            let counter = Self.count(Array(body[..<end]), splitAt: [])
            #expect(counter.count == (end < 7 ? 0 : 1))
            #expect(counter.isBetweenMessages == (end == 0 || end == 7))
        }
    }

    @Test("a length of four gigabytes is no trap, and what follows is its body")
    func huge() {
        var counter = GRPCMessageCounter()
        let prefix: [UInt8] = [0, 0xff, 0xff, 0xff, 0xff]
        counter.pass(prefix.span)
        for _ in 0..<100 { counter.pass([UInt8](repeating: 0, count: 1_000).span) }
        #expect(counter.count == 0)
        #expect(!counter.isBetweenMessages)
    }
}
