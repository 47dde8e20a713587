import Identity
import Testing
import Wire

@testable import Rules

@Suite struct RateLimitKeyTests {
    struct Someone: Sendable {
        var source = "192.0.2.1"
        var client = "198.51.100.1"
        var peer: String?
        var path = "/a.S/M"
        var fields: [(String, String)] = []
        /// Of a valid token of the first issuer.
        var claims: JSONValue?
        var issuer = 0

        func key(_ limit: RateLimit) -> UInt64 {
            var caller = AccessCaller()
            caller.source = IPAddress(parsing: source.utf8.span) ?? .unknown
            caller.client = IPAddress(parsing: client.utf8.span) ?? .unknown
            if let peer, let id = try? SPIFFEID(peer) {
                caller.peer = AccessPeer(
                    PeerIdentity(
                        spiffeID: id, dnsNames: [], trust: "t", expiresAt: 0, fingerprint: []))
            }
            if let claims {
                caller.token = .valid(AccessClaims(issuer: issuer, claims: claims))
            }
            let request = RateLimitedRequest(path: Array(path.utf8).span)
            return limit.key(of: request, caller, Fields(list: fields))
        }
    }

    struct Fields: RequestFields {
        let list: [(String, String)]

        func forEachValue(of name: Span<UInt8>, _ body: (Span<UInt8>) -> Void) {
            for (key, value) in list where Comparison.exact.holds(key.utf8.span, name) {
                body(value.utf8.span)
            }
        }
    }

    private static func limit(_ parts: RateLimit.Part...) -> RateLimit {
        RateLimit(
            name: "l", Rate(count: 1, period: 1_000_000_000), burst: 1, by: (parts, 8),
            mode: (isDryRun: false, service: nil))
    }

    private static func subject(_ name: String, tenant: String? = nil) -> JSONValue {
        let tenant = tenant.map { [JSONValue.Member(name: "tenant", value: .string($0))] } ?? []
        return .object([
            JSONValue.Member(name: "sub", value: .string(name)),
            JSONValue.Member(name: "x", value: .object(tenant)),
        ])
    }

    private static let sub = RateLimit.Part.claim([Array("sub".utf8)])
    private static let tenant = RateLimit.Part.claim([Array("x".utf8), Array("tenant".utf8)])
    private static let field = RateLimit.Part.header(Array("x-tenant".utf8))

    private static let pairs: [(RateLimit, Someone, Someone, isSame: Bool)] = [
        (limit(.source), Someone(), Someone(client: "203.0.113.9", path: "/b.S/N"), true),
        (limit(.source), Someone(), Someone(source: "192.0.2.2"), false),
        (limit(.source), Someone(source: "2001:db8::1"), Someone(source: "2001:db8::9:1"), true),
        (limit(.source), Someone(source: "2001:db8::1"), Someone(source: "2001:db8:0:1::1"), false),
        (limit(.source), Someone(source: "::ffff:192.0.2.1"), Someone(), true),
        (limit(.client), Someone(), Someone(source: "192.0.2.2"), true),
        (limit(.client), Someone(), Someone(client: "198.51.100.2"), false),
        (limit(.method), Someone(path: "/x?a=1"), Someone(path: "/x?a=2"), true),
        (limit(.method), Someone(path: "/x"), Someone(path: "/y"), false),
        (
            limit(.peer), Someone(peer: "spiffe://m.example/a"),
            Someone(source: "192.0.2.2", peer: "spiffe://m.example/a"), true
        ),
        (
            limit(.peer), Someone(peer: "spiffe://m.example/a"),
            Someone(peer: "spiffe://m.example/b"), false
        ),
        (limit(.peer), Someone(), Someone(source: "192.0.2.2"), true),
        (limit(.peer), Someone(), Someone(peer: "spiffe://m.example/a"), false),
        (
            limit(sub), Someone(claims: subject("a")), Someone(path: "/z", claims: subject("a")),
            true
        ),
        (limit(sub), Someone(claims: subject("a")), Someone(claims: subject("b")), false),
        (
            limit(sub), Someone(claims: subject("a")), Someone(claims: subject("a"), issuer: 1),
            false
        ),
        (limit(sub), Someone(), Someone(source: "192.0.2.7"), true),
        (limit(sub), Someone(), Someone(claims: subject("a")), false),
        (
            limit(tenant), Someone(claims: subject("a", tenant: "t")),
            Someone(claims: subject("b", tenant: "t")), true
        ),
        (
            limit(tenant), Someone(claims: subject("a", tenant: "t")),
            Someone(claims: subject("a", tenant: "u")), false
        ),
        (limit(tenant), Someone(claims: subject("a")), Someone(claims: subject("b")), true),
        (
            limit(field), Someone(fields: [("x-tenant", "a"), ("y", "1")]),
            Someone(fields: [("x-tenant", "a"), ("y", "2")]), true
        ),
        (
            limit(field), Someone(fields: [("x-tenant", "a")]),
            Someone(fields: [("x-tenant", "b")]), false
        ),
        (
            limit(field), Someone(fields: [("x-tenant", "a")]),
            Someone(fields: [("x-tenant", "a"), ("x-tenant", "a")]), false
        ),
        (
            limit(field), Someone(fields: [("x-tenant", "ab"), ("x-tenant", "c")]),
            Someone(fields: [("x-tenant", "a"), ("x-tenant", "bc")]), false
        ),
        (limit(field), Someone(), Someone(fields: [("x-tenant", "")]), false),
        (limit(.source, .method), Someone(), Someone(path: "/other"), false),
        (limit(.source, .method), Someone(), Someone(client: "203.0.113.4"), true),
    ]

    @Test("callers share a bucket where all that counts is the same", arguments: pairs.indices)
    func keys(index: Int) {
        let (limit, first, second, isSame) = Self.pairs[index]
        #expect((first.key(limit) == second.key(limit)) == isSame)
    }
}
