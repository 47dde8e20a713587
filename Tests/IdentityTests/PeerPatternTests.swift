import Identity
import Testing

@Suite("Patterns of peers")
struct PeerPatternTests {
    private static func peer(_ id: String?, dns: [String] = []) throws -> PeerIdentity {
        PeerIdentity(
            spiffeID: try id.map { try SPIFFEID($0) }, dnsNames: dns, trust: "mesh.example",
            expiresAt: 0, fingerprint: [])
    }

    @Test(
        "match whole segments of one trust domain",
        arguments: [
            ("spiffe://mesh.example/web", "spiffe://mesh.example/web", true),
            ("spiffe://mesh.example/web", "spiffe://mesh.example/web/a", false),
            ("spiffe://mesh.example/web", "spiffe://mesh.example/Web", false),
            ("spiffe://mesh.example/web/*", "spiffe://mesh.example/web/a", true),
            ("spiffe://mesh.example/web/*", "spiffe://mesh.example/web/a/b", true),
            ("spiffe://mesh.example/web/*", "spiffe://mesh.example/web", false),
            ("spiffe://mesh.example/web/*", "spiffe://mesh.example/website", false),
            ("spiffe://mesh.example/*", "spiffe://mesh.example/web", true),
            ("spiffe://mesh.example/*", "spiffe://mesh.example.evil.test/web", false),
            ("spiffe://MESH.example/web", "spiffe://mesh.example/web", true),
            ("verified", "spiffe://other.example/x", true),
            ("dns:web.example", "spiffe://mesh.example/web", false),
        ])
    func matches(pattern: String, id: String, expected: Bool) throws {
        #expect(try PeerPattern(pattern).matches(Self.peer(id)) == expected)
    }

    @Test("match DNS names of certificates without a SPIFFE ID only")
    func dnsNames() throws {
        let pattern = try PeerPattern("dns:Web.example")
        #expect(try pattern.matches(Self.peer(nil, dns: ["a.example", "web.example"])))
        #expect(try !pattern.matches(Self.peer(nil, dns: ["a.web.example"])))
        #expect(
            try !pattern.matches(Self.peer("spiffe://mesh.example/a", dns: ["web.example"])))
        #expect(try !PeerPattern("spiffe://mesh.example/*").matches(Self.peer(nil, dns: ["a"])))
    }

    @Test(
        "in other forms are refused",
        arguments: [
            ("", .unknownForm), ("*", .unknownForm), ("web", .unknownForm), ("dns:", .dnsName),
            ("dns:a..b", .dnsName), ("dns:*.example", .dnsName),
            ("spiffe://mesh.example", .noPath), ("spiffe://*/web", .spiffe(.trustDomain)),
            ("spiffe://mesh.example/*/web", .spiffe(.path)),
            ("spiffe://mesh.example/we*", .spiffe(.path)),
        ] as [(String, PeerPattern.ParseError)])
    func refuses(text: String, error: PeerPattern.ParseError) {
        #expect(throws: error) { try PeerPattern(text) }
    }
}
