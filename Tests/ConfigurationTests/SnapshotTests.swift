import Rules
import Testing

@testable import Configuration

/// What the data plane is given.
@Suite struct SnapshotTests {
    private static func route(_ text: String) throws -> Route {
        let result = Text.load(Text.head + "routes:\n  - " + text + "\n")
        #expect(result.diagnostics.allSatisfy { $0.code == .unused })
        return try #require(result.snapshot?.routes.first)
    }

    @Test("a route's terms are what was written")
    func terms() throws {
        let route = try Self.route(
            """
            {name: r, backends: [{upstream: orders, weight: 3}], timeout: 2s, idle_timeout: 1m,
             matches: [{method: a.B/*}], rewrite: {path_prefix: /c.D/, hostname: "e:1"},
             request_headers: {set: {X-A: b}, add: {x-c: ""}, remove: [X-D]},
             response_headers: {remove: [server]}}
            """)
        #expect(route.timeout == 2_000_000_000)
        #expect(route.idleTimeout == 60_000_000_000)
        #expect(route.isGRPCOnly)
        guard case .prefix(4, let with) = route.rewrite?.path else {
            Issue.record("not a prefix of four bytes")
            return
        }
        #expect(with == Array("/c.D".utf8))
        #expect(route.rewrite?.hostname == Array("e:1".utf8))
        #expect(route.requestHeaders?.set == [.init(name: Array("x-a".utf8), value: [0x62])])
        #expect(route.requestHeaders?.add == [.init(name: Array("x-c".utf8), value: [])])
        #expect(route.requestHeaders?.remove == [Array("x-d".utf8)])
        #expect(route.responseHeaders?.remove == [Array("server".utf8)])
    }

    @Test(
        "a direct response has a status for each kind of caller",
        arguments: [
            ("{status: 404}", 404, 12, "", ""),
            ("{status: 503, body: sorry}", 503, 14, "text/plain; charset=utf-8", "sorry"),
            (
                "{status: 200, grpc_status: OK, body: '{}', content_type: application/json}", 200,
                0,
                "application/json", "{}"
            ),
            ("{status: 200, grpc_status: 16}", 200, 16, "", ""),
            ("{status: 418}", 418, 2, "", ""),
        ] as [(String, UInt16, UInt8, String, String)])
    func responses(
        _ text: String, _ status: UInt16, _ grpcStatus: UInt8, _ type: String, _ body: String
    ) throws {
        guard case .respond(let response) = try Self.route("{name: r, respond: \(text)}").action
        else {
            Issue.record("not a response")
            return
        }
        #expect(response.status == status)
        #expect(response.grpcStatus == grpcStatus)
        #expect(response.contentType == Array(type.utf8))
        #expect(response.body == Array(body.utf8))
    }

    @Test(
        "an upstream is for gRPC alone where all its routes are, or where it says so",
        arguments: [
            ("", "{method: a.B/C}", true), ("", "{path: /a}", false),
            ("", "{method: a.B/C}}, {path: /a", nil), (", grpc: true", "{path: /a}", true),
            (", grpc: false", "{method: a.B/C}", false),
        ] as [(String, String, Bool?)])
    func grpcOnly(_ key: String, _ match: String, _ expected: Bool?) {
        let text = """
            listeners: [{name: local, address: 127.0.0.1:8080}]
            upstreams: [{name: u, endpoints: [127.0.0.1:50051]\(key)}]
            routes: [{name: r, matches: [\(match)], backends: [{upstream: u}]}]
            access: {default: allow}
            """
        #expect(Text.load(text).snapshot?.upstreams[0].isGRPCOnly == expected)
    }

    @Test(
        "plain scalars are the text that is written, whatever YAML takes them for",
        arguments: [
            "on", "off", "yes", "null", "~", "1_000", "0x10", "1e3", "2001-01-01", "true", "=",
        ])
    func plainScalars(_ text: String) throws {
        let route = try Self.route(
            "{name: r, backends: [{upstream: orders}], request_headers: {set: {x-a: \(text)}}}")
        #expect(route.requestHeaders?.set.first?.value == Array(text.utf8))
    }

    @Test("weights of backends are drawn by")
    func weights() throws {
        let result = Text.load(
            """
            listeners: [{name: local, address: 127.0.0.1:8080}]
            upstreams:
              - {name: a, endpoints: [127.0.0.1:1]}
              - {name: b, endpoints: [127.0.0.1:2]}
              - {name: c, endpoints: [127.0.0.1:3]}
            routes:
              - name: r
                backends: [{upstream: c, weight: 0}, {upstream: b}, {upstream: a, weight: 3}]
            access: {default: allow}
            """)
        guard case .forward(let backends) = try #require(result.snapshot).routes[0].action else {
            Issue.record("not forwarded")
            return
        }
        #expect((0..<8).map { backends.pick(UInt64($0)) } == [1, 0, 0, 0, 1, 0, 0, 0])
    }

    @Test("a variable's text is a scalar and nothing else")
    func variables() throws {
        let result = Text.load(
            "listeners: [{name: \"${N}\", address: \"${A:-[::1]:8}\", limits: {pings: \"${P}\"}}]\n"
                + "routes: [{name: r, respond: {status: 200, body: \"${B} $$ $x ${C:-}\"}}]\n"
                + "access: {default: allow}\n",
            ["N": "edge", "P": "7", "B": "{a: b}"])
        let snapshot = try #require(result.snapshot)
        #expect(snapshot.listeners[0].name == "edge")
        #expect(snapshot.listeners[0].limits.pings == 7)
        guard case .respond(let response) = snapshot.routes[0].action else { return }
        #expect(String(decoding: response.body, as: UTF8.self) == "{a: b} $ $x ")
    }

    @Test(
        "a prefix is replaced by whole segments, and the query stays",
        arguments: [
            ("/v1", "/", "/v1", "/"), ("/v1", "/", "/v1?a=b", "/?a=b"),
            ("/v1/", "/", "/v1/x", "/x"),
            ("/v1", "/v2", "/v1/x?y", "/v2/x?y"), ("/", "/v2", "/x", "/v2/x"),
            ("/", "/v2", "/", "/v2/"),
            ("/v1", "/a/b/", "/v1/", "/a/b/"),
        ])
    func prefixes(_ prefix: String, _ with: String, _ path: String, _ expected: String) throws {
        let route = try Self.route(
            "{name: r, matches: [{path: {prefix: \(prefix)}}], rewrite: {path_prefix: \(with)}, "
                + "backends: [{upstream: orders}]}")
        var output: [UInt8] = []
        route.rewrite?.path?.append(rewriting: Array(path.utf8).span, to: &output)
        #expect(String(decoding: output, as: UTF8.self) == expected)
    }
}
