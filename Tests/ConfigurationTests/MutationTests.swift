import Testing

@testable import Configuration

/// Broken configurations: whatever the bytes, loading ends, and either way says why.
@Suite struct MutationTests {
    private static let examples = [
        "config/minimal.yaml", "config/gateway.yaml", "config/sidecar.yaml",
        "config/split/20-orders.yaml",
    ]

    /// SplitMix64: the same seed, the same mutations.
    struct Random: RandomNumberGenerator {
        var state: UInt64

        mutating func next() -> UInt64 {
            state &+= 0x9e37_79b9_7f4a_7c15
            var z = state
            z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
            z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
            return z ^ (z >> 31)
        }
    }

    /// What YAML or the language gives a meaning.
    private static let pieces = [
        "{", "}", "[", "]", ":", ": ", ",", "\n", "  ", "\t", "- ", "*a", "&a ", "!!map ", "|\n",
        ">", "'",
        "\"", "#", "%", "@", "${", "${A}", "$$", "---\n", "...\n", "? ", "\u{feff}", "\0", "é",
        "off",
        "0", "-1", "99999999999999999999", "5m", "64KiB", "true", "/", "*.", "name", "routes: ",
        "<<: ",
    ]

    private static func mutate(_ bytes: inout [UInt8], _ random: inout Random) {
        let position = Int.random(in: 0...bytes.count, using: &random)
        let end = min(bytes.count, position + Int.random(in: 1...20, using: &random))
        switch Int.random(in: 0..<5, using: &random) {
        case 0: bytes.removeSubrange(position..<end)
        case 1: bytes.insert(contentsOf: bytes[position..<end], at: position)
        case 2:
            let other = Int.random(in: 0...bytes.count, using: &random)
            bytes.insert(contentsOf: Array(bytes[position..<end]), at: other)
        case 3:
            if position < bytes.count {
                bytes[position] = UInt8.random(in: 0...255, using: &random)
            }
        default:
            let piece = pieces.randomElement(using: &random) ?? ""
            bytes.insert(contentsOf: piece.utf8, at: position)
        }
    }

    @Test(
        "thousands of mutations of the examples end in a snapshot or in errors with places",
        arguments: examples)
    func mutations(_ path: String) {
        var random = SystemRandomNumberGenerator()
        let seed = random.next()
        print("mutations of \(path): seed \(seed)")
        check(Repository.bytes(path), rounds: 1_000, seed)
    }

    @Test("mutations that once were trouble", arguments: [1, 2, 3] as [UInt64])
    func fixedSeeds(_ seed: UInt64) {
        check(Repository.bytes("config/gateway.yaml"), rounds: 200, seed)
    }

    private func check(_ original: [UInt8], rounds: Int, _ seed: UInt64) {
        var random = Random(state: seed)
        for _ in 0..<rounds {
            var bytes = original
            for _ in 0..<Int.random(in: 1...6, using: &random) { Self.mutate(&bytes, &random) }
            let result = ConfigurationLoader.load(
                sources: [Source(name: "input", bytes: bytes)], environment: ["A": "a"])
            let lines = bytes.count(where: { $0 == 0x0a }) + 1
            let hasErrors = result.diagnostics.contains { $0.severity == .error }
            let arePlaced = result.diagnostics.allSatisfy {
                !$0.message.isEmpty && $0.line <= lines + 1
            }
            #expect((result.snapshot == nil) == hasErrors && arePlaced, "seed \(seed)")
        }
    }
}
