import Testing

@testable import Rules

@Suite struct PathPrefixesTests {
    private struct Prefix: Equatable {
        var hash: UInt64
        var end: Int
        var kind: PathKind
    }

    @Test(
        "prefixes are those that a walk byte by byte finds",
        arguments: 1...20 as ClosedRange<UInt64>)
    func agreesWithWalk(seed: UInt64) {
        var random = Random(seed: seed)
        let alphabet = Array("/./.?>ab/.".utf8)
        for _ in 0..<500 {
            let count = Int(random.next() % 40)
            let path = (0..<count).map { _ in alphabet[Int(random.next() % 10)] }
            let limit = Int(random.next() % 33)
            let prefixes = PathPrefixes(path.span, limit: limit)
            let (end, hash, expected) = Self.walk(path, limit: limit)
            #expect(prefixes.pathEnd == end, "seed \(seed), path \(path)")
            #expect(prefixes.pathHash == hash, "seed \(seed), path \(path)")
            let found = (0..<prefixes.count).map { index in
                let prefix = prefixes.prefix(index + 1)
                return Prefix(hash: prefix.hash, end: prefix.end, kind: prefix.kind)
            }
            #expect(found == expected, "seed \(seed), path \(path), limit \(limit)")
        }
    }

    /// The same, as simply as can be.
    private static func walk(
        _ path: [UInt8], limit: Int
    ) -> (end: Int, hash: UInt64, prefixes: [Prefix]) {
        var prefixes: [Prefix] = []
        let end = path.firstIndex(of: UInt8(ascii: "?")) ?? path.count
        func keep(_ end: Int, _ kind: PathKind) {
            guard prefixes.count < limit else { return }
            let hash = RouteHash(path.span.extracting(0..<end)).value
            prefixes.append(Prefix(hash: hash, end: end, kind: kind))
        }
        for index in 0..<end {
            if path[index] == UInt8(ascii: "/"), index > 0 { keep(index, .segments) }
            if path[index] == UInt8(ascii: ".") { keep(index + 1, .dotted) }
        }
        if end > 1 { keep(end, .segments) }
        return (end, RouteHash(path.span.extracting(0..<end)).value, prefixes)
    }
}

private struct Random {
    var state: UInt64

    init(seed: UInt64) { state = seed &* 0x9e37_79b9_7f4a_7c15 }

    mutating func next() -> UInt64 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return state >> 33
    }
}
