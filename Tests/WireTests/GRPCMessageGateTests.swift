import Testing
import Wire

@Suite struct GRPCMessageGateTests {
    private static func body(_ lengths: [Int]) -> [UInt8] {
        lengths.flatMap { length in
            [0, 24, 16, 8, 0].enumerated().map { index, shift in
                index == 0 ? UInt8(0) : UInt8(truncatingIfNeeded: length >> shift)
            } + [UInt8](repeating: 1, count: length)
        }
    }

    /// How many bytes passed before the gate closed; nil where it never did.
    private static func passed(_ body: [UInt8], step: Int, bytesMax: UInt32) -> Int? {
        var gate = GRPCMessageGate()
        var start = 0
        while start < body.count {
            let end = min(start + step, body.count)
            if let admitted = gate.admitted(body.span.extracting(start..<end), bytesMax: bytesMax) {
                #expect(gate.largest > bytesMax)
                return start + admitted
            }
            start = end
        }
        return nil
    }

    @Test("messages up to the limit pass, in any portions", arguments: [1, 2, 3, 5, 7, 64, 1_000])
    func pass(step: Int) {
        let body = Self.body([100, 0, 7, 100, 99])
        #expect(Self.passed(body, step: step, bytesMax: 100) == nil)
    }

    @Test(
        "what comes before a larger one passes, and nothing of it",
        arguments: [([], 0), ([0], 5), ([100], 105), ([3, 100, 0], 118)] as [([Int], Int)])
    func close(_ before: [Int], _ expected: Int) {
        let body = Self.body(before + [101, 4])
        for step in [5, 64, 1_000] where step >= 64 || expected % step == 0 {
            #expect(Self.passed(body, step: step, bytesMax: 100).map { $0 <= expected } == true)
        }
        #expect(Self.passed(body, step: body.count, bytesMax: 100) == expected)
    }

    @Test("a prefix that came in parts closes it when it is whole")
    func parts() {
        let body = Self.body([2, 200])
        #expect(Self.passed(body, step: 1, bytesMax: 100) == 11)
    }

    @Test("the largest length of all closes it")
    func largest() {
        var gate = GRPCMessageGate()
        let prefix: [UInt8] = [0, 255, 255, 255, 255]
        #expect(gate.admitted(prefix.span, bytesMax: .max - 1) == 0)
        #expect(gate.largest == .max)
    }
}
