import Testing
import Wire

@Suite("Base64url in its only spelling")
struct Base64URLTests {
    @Test(
        "is read and written",
        arguments: [
            ("", []), ("AA", [0]), ("AAA", [0, 0]), ("AAAA", [0, 0, 0]), ("_-8", [0xff, 0xef]),
            ("Zm9v", Array("foo".utf8)), ("-_-_", [0xfb, 0xff, 0xbf]),
        ] as [(String, [UInt8])])
    func reads(text: String, bytes: [UInt8]) {
        #expect(Base64URL.decode(text) == bytes)
        #expect(Base64URL.text(of: bytes) == text)
    }

    @Test(
        "no other spelling is read",
        arguments: [
            "A", "AAAAA", "AA==", "AAA=", "A===", "=", "AB", "AP", "AAB", "+/+/", "A A", "AA\n",
            "AA ", " AA", "AA.", "AA\0A", "\u{e9}AA", "AA%3D", "AAA,", "Zm9v\u{0}\u{0}",
        ])
    func refuses(text: String) { #expect(Base64URL.decode(text) == nil) }

    @Test("any bytes come back, and of the texts for them only one is read")
    func roundTrip() {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SplitMix(seed)
        for round in 0..<500 {
            let bytes = (0..<(round % 40)).map { _ in UInt8.random(in: 0...255, using: &random) }
            let text = Base64URL.text(of: bytes)
            #expect(Base64URL.decode(text) == bytes, "seed \(seed)")
            var changed = Array(text.utf8)
            guard !changed.isEmpty else { continue }
            let index = Int.random(in: changed.indices, using: &random)
            changed[index] = UInt8.random(in: 0...255, using: &random)
            guard let other = Base64URL.decode(changed.span) else { continue }
            #expect((other == bytes) == (changed == Array(text.utf8)), "seed \(seed)")
        }
    }
}
