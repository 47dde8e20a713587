import Rules
import Testing
import Wire

@testable import Configuration

@Suite struct LoaderTests {
    @Test("a directory's files are joined in the order of their names")
    func directory() throws {
        let path = Repository.root + "/config/split"
        let result = ConfigurationLoader.load(path: path, environment: [:])
        let snapshot = try #require(result.snapshot)
        #expect(snapshot.routes.map(\.name) == ["orders", "status"])
        #expect(
            result.files
                == [
                    path, path + "/10-base.yaml", path + "/20-orders.yaml",
                    path + "/30-status.yaml",
                ])
    }

    @Test("names and single keys given in two files are errors that name both places")
    func joined() {
        let result = ConfigurationLoader.load(
            sources: [
                Source(name: "a.yaml", text: Text.head),
                Source(name: "b.yaml", text: "# nothing\n"),
                Source(
                    name: "c.yaml",
                    text: """
                        access: {default: deny}
                        upstreams: [{name: orders, endpoints: [127.0.0.1:2]}]
                        listeners: []
                        """),
            ], environment: [:])
        #expect(
            result.diagnostics.map(\.description) == [
                "c.yaml:1:9: error[duplicate-key]: 'access' is given twice, first at a.yaml:3:9; "
                    + "expected it in one file only",
                "c.yaml:2:20: error[duplicate-name]: another upstream is called 'orders', at "
                    + "a.yaml:2:13; expected a name of its own",
                "c.yaml:3:12: error[bad-value]: an empty list of listeners; expected at least one, "
                    + "or no list",
            ])
    }

    @Test("a syntax error ends its file, and the others' are found too")
    func syntax() {
        let result = ConfigurationLoader.load(
            sources: [
                Source(name: "a.yaml", text: "a: [\n"),
                Source(name: "b.yaml", text: "unknown: 1\n"),
                Source(name: "c.yaml", text: "a: }\n"),
            ], environment: [:])
        #expect(result.diagnostics.map(\.file) == ["a.yaml", "c.yaml"])
        #expect(result.diagnostics.allSatisfy { $0.code == .syntax })
    }

    @Test("what cannot be read is told apart from what is wrong", arguments: ["nothing.yaml", ""])
    func unreadable(_ path: String) {
        let result = ConfigurationLoader.load(path: path, environment: [:])
        #expect(result.isUnreadable)
        #expect(result.files == [path])
        #expect(!Text.load("a: 1").isUnreadable)
    }

    @Test("a file beyond 64 MiB and a text beyond 64 KiB are refused")
    func sizes() {
        let file = Source(name: "big", bytes: [UInt8](repeating: 0x23, count: (64 << 20) + 1))
        let result = ConfigurationLoader.load(sources: [file], environment: [:])
        #expect(result.diagnostics.map(\.code) == [.tooLarge])
        let value = ["V": String(repeating: "a", count: 60 << 10)]
        #expect(Text.load("a: ${V}${V}", value).diagnostics.map(\.code).contains(.tooLarge))
    }

    @Test("variables cannot multiply without bound")
    func expansion() {
        let environment = ["V": String(repeating: "a", count: 60 << 10)]
        let items = String(repeating: "- ${V}\n", count: 10_000)
        let result = Text.load(items, environment)
        #expect(result.diagnostics.count(where: { $0.code == .tooLarge }) == 1)
    }

    @Test("limits on numbers of things are named")
    func counts() {
        let conditions = (0...32).map { "x-\($0): a" }.joined(separator: ", ")
        let backends = (0...100).map { _ in "{upstream: orders}" }.joined(separator: ", ")
        let text = """
            routes:
              - {name: a, matches: [{headers: {\(conditions)}}], backends: [{upstream: orders}]}
              - {name: b, backends: [\(backends)]}
            """
        #expect(
            Text.load(Text.head + text).diagnostics.map(\.description) == [
                "weir.yaml:5:35: error[too-many]: 33 headers; expected at most 32",
                "weir.yaml:6:25: error[too-many]: 101 backends; expected at most 100",
            ])
    }

    @Test("of many errors the first thousand are kept and the first hundred printed")
    func manyErrors() {
        let text = Text.head + "routes:\n" + String(repeating: "- {nam: a}\n", count: 2_000)
        let result = Text.load(text)
        #expect(result.diagnostics.count == 1_000)
        let lines = result.diagnostics.lines(omitted: result.omitted)
        #expect(lines.count == 101)
        #expect(lines.last == "and \(result.omitted + 900) more")
    }

    @Test("errors beyond those that are kept still leave no snapshot")
    func lateError() {
        let timeouts = "timeouts: {keepalive: 1m}"
        let upstreams = (0..<1_100).map {
            "- {name: u\($0), endpoints: [127.0.0.1:1], \(timeouts)}\n"
        }
        let text = """
            listeners: [{name: local, address: 127.0.0.1:8080}]
            access: {default: allow}
            upstreams:
            \(upstreams.joined())
            routes: [{name: r, backends: [{upstream: v}]}]
            """
        let result = Text.load(text)
        #expect(result.snapshot == nil)
        #expect(result.diagnostics.allSatisfy { $0.severity == .warning })
        #expect(result.omitted == 101)
    }

    @Test("the same text has the same revision, and nothing else has it")
    func revision() throws {
        let text = Text.head + "routes: [{name: \"${N:-a}\", backends: [{upstream: orders}]}]\n"
        let first = try #require(Text.load(text).snapshot)
        #expect(first.revision.count == 16)
        #expect(Text.load(text).snapshot?.revision == first.revision)
        #expect(Text.load(text + "\n").snapshot?.revision != first.revision)
        #expect(Text.load(text, ["N": "b"]).snapshot?.revision != first.revision)
    }

    @Test("paths of unix sockets are relative to the file that names them")
    func relativePaths() throws {
        let text = """
            listeners: [{name: local, address: "unix:in.sock"}]
            upstreams:
              - {name: a, endpoints: ["unix:run/a.sock", "unix:/b.sock", "unix:@c"]}
            routes: [{name: a, backends: [{upstream: a}]}]
            access: {default: deny}
            """
        let result = ConfigurationLoader.load(
            sources: [Source(name: "/etc/weir/weir.yaml", text: text)], environment: [:])
        let snapshot = try #require(result.snapshot)
        #expect(snapshot.listeners[0].address == .unix(path: "/etc/weir/in.sock"))
        #expect(
            snapshot.upstreams[0].endpoints.map(\.address) == [
                .unix(path: "/etc/weir/run/a.sock"), .unix(path: "/b.sock"), .unix(path: "@c"),
            ])
        #expect(snapshot.access.byDefault == .deny)
    }
}
