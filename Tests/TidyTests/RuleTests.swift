import Testing

/// The rules themselves: each finds what it is for and nothing else.
@Suite struct RuleTests {
    @Test(
        "a banned word is found",
        arguments: [
            "let a = b!", "let a = f()!", "let a = b[0]!.c", "let a: Int!", "let a = try! f()",
            "let a = b as! C", "fatalError(\"x\")", "print(a)", "unowned(unsafe) let a: B",
            "final class SocketManager {}", "struct HTTP2BaseSession {}", "enum StringUtils {}",
            "let a = \"\\(b!)\"",
        ])
    func banned(code: String) {
        #expect(WordRules.findings(in: SourceFile(path: "Sources/Proxy/A.swift", code)).count == 1)
    }

    @Test(
        "what only looks banned is not found",
        arguments: [
            "let a = !b", "if a != b {}", "if a() != b {}", "f(!a)", "// b! and try! f()",
            "let a = \"b! fatalError( \"", "/* a! /* b! */ c! */", "console.print(a)",
            "struct Base64Decoder {}", "let a = #\"c!\"#", "let a = \"\"\"\n  b! \"c\" d!\n\"\"\"",
            "let a = \"\\\"b!\"", "struct Database {}",
        ])
    func allowed(code: String) {
        #expect(WordRules.findings(in: SourceFile(path: "Sources/Proxy/A.swift", code)) == [])
    }

    @Test("a test may print, and may not sleep")
    func inTests() {
        let file = SourceFile(path: "Tests/A/A.swift", "print(1)\nusleep(3)\nTask.sleep(for: a)")
        #expect(WordRules.findings(in: file).map(\.line) == [2, 3])
    }

    @Test(
        "functions are measured from their first word to their last brace",
        arguments: [
            ("func f() {}", "f", 0, 1),
            (
                "func f(\n  a: Int,\n  b: [Int: Int] = [1: 2, 3: 4]\n) -> Int {\n  if a {\n}\n}",
                "f", 2, 7
            ),
            ("init<A, B>(a: Box<A, B>, b: (Int, Int) -> Void,) {\n}", "init", 2, 2),
            ("protocol P {\n  func f(a: A)\n  var b: Int { get\n }\n}", "f", 1, 1),
            ("func f() -> Int\nwhere A: B {\n}", "f", 0, 3),
        ])
    func functions(code: String, name: String, parameters: Int, lines: Int) {
        let found = Function.all(in: SwiftLexer.tokens(of: Array(code.utf8)))
        #expect(found.map(\.name) == [name])
        #expect(found.map(\.parameters) == [parameters])
        #expect(found.map(\.lines) == [lines])
    }

    @Test("six parameters, 71 lines, 101 columns and 601 lines are one too many")
    func sizes() {
        let six = "func f(a: A, b: A, c: A, d: A, e: A, f: A) {}"
        let long = "func g() {" + String(repeating: "\n", count: 70) + "}"
        let wide = String(repeating: "/", count: 101)
        let file = SourceFile(path: "A.swift", six + "\n" + long + "\n" + wide)
        #expect(SizeRules.findings(in: file).map(\.line).sorted() == [1, 2, 73])
        let tall = SourceFile(path: "A.swift", String(repeating: "a\n", count: 601))
        #expect(SizeRules.findings(in: tall).map(\.line) == [601])
    }

    @Test(
        "an import against the arrows is found",
        arguments: [
            ("Sources/Wire/A.swift", "import Rules"),
            ("Sources/Rules/A.swift", "internal import Proxy"),
            ("Sources/Proxy/Exchange/A.swift", "import Glibc"),
            ("Sources/Proxy/Exchange/A.swift", "internal import CNghttp2"),
            ("Sources/Proxy/Loop/A.swift", "import FoundationEssentials"),
            ("Sources/Control/A.swift", "import Foundation"),
            ("Sources/Proxy/A.swift", "@preconcurrency import struct Logging.Logger"),
            ("Tests/WireTests/A.swift", "import Foundation"),
        ])
    func imports(path: String, code: String) {
        #expect(ImportRules.findings(in: SourceFile(path: path, code)).count == 1)
    }

    @Test(
        "an import along the arrows is fine",
        arguments: [
            ("Sources/Proxy/Exchange/A.swift", "internal import Wire"),
            ("Sources/Proxy/HTTP2/A.swift", "internal import CNghttp2"),
            ("Sources/Control/A.swift", "import FoundationEssentials"),
            ("Tests/WireTests/A.swift", "@testable import Wire\nimport Testing"),
        ])
    func allowedImports(path: String, code: String) {
        #expect(ImportRules.findings(in: SourceFile(path: path, code)) == [])
    }

    @Test("unsafe code outside the boundary and uncounted unchecked code are found")
    func boundaries() {
        let code =
            "let a = unsafe b\nnonisolated(unsafe) var c = 1\nstruct D: @unchecked Sendable {}"
        let file = SourceFile(path: "Sources/Proxy/Exchange/A.swift", code)
        #expect(BoundaryFiles.findings(in: file).map(\.line).sorted() == [1, 2, 3])
        let inside = SourceFile(path: "Sources/Proxy/Loop/A.swift", code)
        #expect(BoundaryFiles.findings(in: inside).map(\.line).sorted() == [2, 3])
    }

    @Test("a link is looked up beside its page")
    func links() {
        let text = "see [a](b.md#c) and [d](../e.md), [f](https://g.example/h) [i](#j)"
        let file = SourceFile(path: "docs/x.md", text)
        #expect(LinkRules.findings(in: file) { $0 == "docs/b.md" || $0 == "e.md" } == [])
        #expect(LinkRules.findings(in: file) { $0 == "docs/b.md" }.count == 1)
    }
}
