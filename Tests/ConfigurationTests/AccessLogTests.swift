import Rules
import Testing

@testable import Configuration

/// `access_log`, at the top and of a route.
@Suite struct AccessLogTests {
    private static func load(_ accessLog: String, route: String = "", file: String = "w.yaml")
        -> LoadResult
    {
        let text = """
            listeners: [{name: local, address: 127.0.0.1:8080}]
            routes: [{name: r, respond: {status: 204}\(route)}]
            access: {default: allow}
            \(accessLog)
            """
        return ConfigurationLoader.load(
            sources: [Source(name: file, text: text)], environment: [:])
    }

    @Test(
        "what is written is what is meant",
        arguments: [
            ("{file: stdout}", AccessLogTerms(target: .standardOutput)),
            ("{file: stderr, format: json}", AccessLogTerms(target: .standardError)),
            ("{file: /a/b, format: text}", .init(target: .file(path: "/a/b"), format: .text)),
            ("{file: /a, only: all}", .init(target: .file(path: "/a"))),
            ("{file: /a, only: errors}", .init(target: .file(path: "/a"), share: 0)),
            ("{file: /a, sample: 50%}", .init(target: .file(path: "/a"), share: 1 << 31)),
            ("{file: /a, sample: 0.01%}", .init(target: .file(path: "/a"), share: 429_496)),
            ("{file: /a, sample: 12.5%}", .init(target: .file(path: "/a"), share: 1 << 29)),
            ("{file: /a, sample: 100.00%}", .init(target: .file(path: "/a"))),
        ])
    func terms(_ text: String, _ expected: AccessLogTerms) throws {
        let snapshot = try #require(Self.load("access_log: \(text)").snapshot)
        #expect(snapshot.telemetry.accessLog == expected)
        #expect(snapshot.routes[0].isLogged)
    }

    @Test("without the key there is none")
    func absent() throws {
        #expect(try #require(Self.load("").snapshot).telemetry.accessLog == nil)
    }

    @Test("a route may be left out", arguments: [("off", false), ("on", true)])
    func route(_ word: String, _ isLogged: Bool) throws {
        let result = Self.load("access_log: {file: /a}", route: ", access_log: \(word)")
        #expect(try #require(result.snapshot).routes[0].isLogged == isLogged)
    }

    @Test(
        "a path begins where its file is",
        arguments: [
            ("/etc/weir/w.yaml", "/etc/weir/log/a"), ("w.yaml", "log/a"), ("d/w", "d/log/a"),
        ]
    )
    func relative(_ file: String, _ expected: String) throws {
        let result = Self.load("access_log: {file: log/a}", file: file)
        let terms = try #require(result.snapshot).telemetry.accessLog
        #expect(terms?.target == .file(path: expected))
    }

    @Test(
        "shares have at most two decimals",
        arguments: [
            "10", "%", "0%", "0.00%", "100.01%", "1.%", ".5%", "1.234%", "-1%", "1,5%", "1 %",
            "01%", "99999999999999999999%", "1e1%", "10%%",
        ])
    func shares(_ text: String) {
        let result = Self.load("access_log: {file: /a, sample: '\(text)'}")
        #expect(result.diagnostics.count == 1)
        #expect(result.snapshot == nil)
    }
}
