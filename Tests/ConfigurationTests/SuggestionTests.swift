import Testing

@testable import Configuration

@Suite struct SuggestionTests {
    @Test(
        "edits are counted, a swap of neighbours as one",
        arguments: [
            ("", "", 0), ("", "abc", 3), ("abc", "abc", 0), ("abc", "acb", 1), ("abc", "abd", 1),
            ("abc", "ab", 1), ("kitten", "sitting", 3),
        ])
    func distance(_ a: String, _ b: String, _ expected: Int) {
        #expect(Suggestion.distance(Array(a.utf8), Array(b.utf8)) == expected)
        #expect(Suggestion.distance(Array(b.utf8), Array(a.utf8)) == expected)
    }

    @Test(
        "only what is near is suggested",
        arguments: [
            ("lisener", "listener"), ("Listener", "listener"), ("route", "routes"), ("xyz", nil),
            ("acess", "access"), ("", nil),
        ] as [(String, String?)])
    func nearest(_ name: String, _ expected: String?) {
        let known = ["listener", "routes", "access", "upstreams"]
        #expect(Suggestion.nearest(to: name, among: known) == expected)
    }

    @Test("control characters and long texts do not reach messages")
    func quotable() {
        #expect("a\u{1b}[31m\nb".quotable == "a\u{fffd}[31m\u{fffd}b")
        #expect(String(repeating: "a", count: 100).quotable.count == 83)
    }
}
