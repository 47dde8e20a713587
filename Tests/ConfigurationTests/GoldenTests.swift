import Testing

@testable import Configuration

/// Golden/NAME.yaml is a configuration, NAME.txt every line that `weir check` prints of it.
@Suite struct GoldenTests {
    private static let folder = "Tests/ConfigurationTests/Golden"
    private static let names = Repository.yamlFiles(in: folder)

    private static func load(_ name: String) -> LoadResult {
        let bytes = Repository.bytes("\(folder)/\(name).yaml")
        return ConfigurationLoader.load(
            sources: [Source(name: "input", bytes: bytes)],
            environment: ["NAME": "edge", "NUMBERS": "12", "EMPTY": ""])
    }

    @Test(
        "all errors of a file are found at once, each with its place and what was expected",
        arguments: names)
    func diagnostics(_ name: String) {
        let expected = Repository.lines("\(Self.folder)/\(name).txt")
        let found = Self.load(name).diagnostics.map(\.description)
        #expect(!found.isEmpty)
        #expect(found == expected)
    }

    @Test("errors leave no snapshot, warnings do", arguments: names)
    func outcome(_ name: String) {
        let result = Self.load(name)
        let hasErrors = result.diagnostics.contains { $0.severity == .error }
        #expect((result.snapshot == nil) == hasErrors)
    }

    @Test("every kind of diagnostic is in a golden file or in LoaderTests")
    func codes() {
        // The language has no word now that this version does not know the meaning of.
        let elsewhere: Set<DiagnosticCode> = [
            .unreadable, .tooLarge, .tooMany, .keptFile, .expired, .unsupported,
        ]
        let golden = Set(Self.names.flatMap { Self.load($0).diagnostics.map(\.code) })
        #expect(golden.union(elsewhere) == Set(DiagnosticCode.allCases))
    }

    @Test("docs/errors.md has a section for every kind")
    func documentation() {
        let headings = Repository.lines("docs/errors.md").filter { $0.hasPrefix("### `") }
        #expect(
            Set(headings) == Set(DiagnosticCode.allCases.map { "### `\($0.rawValue)`" }))
    }
}
