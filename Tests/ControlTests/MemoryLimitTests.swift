import Testing

@testable import Control

@Suite struct MemoryLimitTests {
    @Test(
        "a cgroup's limit is bytes, or none",
        arguments: [
            ("536870912\n", 536_870_912), ("max\n", nil), ("", nil), ("0\n", nil), ("1 2\n", nil),
            ("-5\n", nil), ("99999999999999999999999\n", nil),
        ] as [(String, UInt64?)])
    func limit(_ text: String, _ expected: UInt64?) { #expect(MemoryLimit.limit(text) == expected) }

    @Test("something is available") func available() { #expect(MemoryLimit.available > 1 << 20) }
}
