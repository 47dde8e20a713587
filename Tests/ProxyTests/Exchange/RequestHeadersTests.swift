import Rules
import Testing

@testable import Proxy

@Suite struct RequestHeadersTests {
    private static let fields = [
        (":method", "POST"), (":scheme", "http"), (":authority", "shop.example"), (":path", "/a/b"),
        ("content-type", "application/grpc"), ("te", "trailers"), ("x-a", "1"), ("x-a", "2"),
    ]

    private static let removed = "(removed)"

    private static func lines(_ changed: [String: String] = [:]) -> [String] {
        fields.compactMap { name, value in
            let value = changed[name] ?? value
            return value == removed ? nil : "\(name): \(value)"
        }
    }

    @Test("a request that nothing changes shares its block")
    func asItCame() throws {
        let fixture = try RequestFixture(Self.fields, isGRPC: true)
        fixture.use(Route.Terms())
        #expect(try fixture.sent() == Self.lines())
        let attempt = fixture.exchange.attempt.object
        let block = try #require(fixture.worker.requestHeaders(fixture.exchange, attempt))
        #expect(block.isShared(with: fixture.exchange.request.headers))
    }

    @Test("a gRPC request without te gets it, a plain one does not", arguments: [true, false])
    func te(isGRPC: Bool) throws {
        let fields = Self.fields.filter { $0.0 != "te" }
        let fixture = try RequestFixture(fields, isGRPC: isGRPC)
        fixture.use(Route.Terms())
        let lines = Self.lines(["te": Self.removed])
        #expect(try fixture.sent() == lines + (isGRPC ? ["te: trailers"] : []))
    }

    @Test("a deadline becomes what is left of it, behind the pseudo-headers")
    func timeout() throws {
        let fixture = try RequestFixture(Self.fields + [("grpc-timeout", "9S")], isGRPC: true)
        fixture.use(Route.Terms())
        fixture.exchange.deadline = fixture.worker.workspace.now + 250_000_000
        var lines = Self.lines()
        lines.insert("grpc-timeout: 250000u", at: 4)
        #expect(try fixture.sent() == lines)
    }

    @Test("a plain request's grpc-timeout is its own affair")
    func plainTimeout() throws {
        let fixture = try RequestFixture(Self.fields + [("grpc-timeout", "9S")])
        fixture.use(Route.Terms())
        fixture.exchange.deadline = fixture.worker.workspace.now + 250_000_000
        #expect(try fixture.sent() == Self.lines() + ["grpc-timeout: 9S"])
    }

    @Test("a host becomes the authority, which it never contradicts")
    func host() throws {
        let fields = Self.fields.filter { $0.0 != ":authority" } + [("host", "other.example")]
        let fixture = try RequestFixture(fields)
        fixture.use(Route.Terms())
        #expect(try fixture.sent() == Self.lines([":authority": "other.example"]))
    }

    @Test("a route's rewrite and edits are applied, removals first")
    func edits() throws {
        let fixture = try RequestFixture(Self.fields)
        var terms = Route.Terms()
        terms.rewrite = Rewrite(
            path: .prefix(count: 2, with: []), hostname: Array("inner.example".utf8))
        terms.requestHeaders = HeaderEdits(
            remove: [Array("te".utf8)], set: [.init("x-a", "3")], add: [.init("x-b", "4")])
        fixture.use(terms)
        let changes: [String: String] = [
            ":authority": "inner.example", ":path": "/b", "te": Self.removed, "x-a": Self.removed,
        ]
        #expect(try fixture.sent() == Self.lines(changes) + ["x-a: 3", "x-b: 4"])
        // The request's own block stays as it came, for another attempt.
        #expect(RequestFixture.lines(of: fixture.exchange.request.headers) == Self.lines())
    }

    @Test("a response's edits leave what the server sent")
    func response() throws {
        let fixture = try RequestFixture(Self.fields)
        let attempt = fixture.exchange.attempt.object
        let pool = fixture.worker.workspace.blocks
        attempt.response.headers = fixture.exchange.request.headers
        fixture.worker.editResponseHeaders(fixture.exchange, attempt)
        #expect(attempt.outgoingHeaders.isShared(with: attempt.response.headers))
        var terms = Route.Terms()
        terms.responseHeaders = HeaderEdits(
            remove: [Array("x-a".utf8)], set: [], add: [.init("x-c", "5")])
        fixture.use(terms)
        fixture.worker.editResponseHeaders(fixture.exchange, attempt)
        let lines = RequestFixture.lines(of: attempt.outgoingHeaders)
        #expect(lines == Self.lines(["x-a": Self.removed]) + ["x-c: 5"])
        #expect(RequestFixture.lines(of: attempt.response.headers) == Self.lines())
        #expect(pool.usedBytes > 0)
    }
}
