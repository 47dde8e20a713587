import Identity
import Testing

@Suite("SPIFFE IDs")
struct SPIFFEIDTests {
    @Test(
        "are read in their parts, scheme and trust domain without case",
        arguments: [
            ("spiffe://mesh.example/web", "mesh.example", "/web"),
            ("SPIFFE://Mesh.Example/Web/A_1", "mesh.example", "/Web/A_1"),
            ("spiffe://a", "a", ""),
            ("spiffe://mesh.example/.../a", "mesh.example", "/.../a"),
        ])
    func reads(text: String, domain: String, path: String) throws {
        let id = try SPIFFEID(text)
        #expect(id.trustDomain == domain)
        #expect(id.path == path)
        #expect(id.description == "spiffe://\(domain)\(path)")
    }

    @Test(
        "in any other spelling are refused",
        arguments: [
            ("", .scheme), ("spiffe:/a/b", .scheme), ("https://mesh.example/a", .scheme),
            ("spiffe:///web", .trustDomain), ("spiffe://user@mesh.example/a", .trustDomain),
            ("spiffe://mesh.example:443/a", .trustDomain), ("spiffe://mesh%2e/a", .trustDomain),
            ("spiffe://mesh.example?x", .trustDomain), ("spiffe://m\u{e9}sh/a", .trustDomain),
            ("spiffe://mesh.example/", .path), ("spiffe://mesh.example/a/", .path),
            ("spiffe://mesh.example//a", .path), ("spiffe://mesh.example/./a", .path),
            ("spiffe://mesh.example/a/..", .path), ("spiffe://mesh.example/%61", .path),
            ("spiffe://mesh.example/a?b", .path), ("spiffe://mesh.example/a#b", .path),
            ("spiffe://mesh.example/a\u{0}", .path),
        ] as [(String, SPIFFEID.ParseError)])
    func refuses(text: String, error: SPIFFEID.ParseError) {
        #expect(throws: error) { try SPIFFEID(text) }
    }

    @Test("have bounds")
    func bounds() throws {
        let domain = String(repeating: "d", count: 255)
        _ = try SPIFFEID("spiffe://\(domain)/a")
        #expect(throws: SPIFFEID.ParseError.trustDomain) { try SPIFFEID("spiffe://\(domain)d/a") }
        let path = String(repeating: "p", count: 2_048 - "spiffe://a/".utf8.count)
        _ = try SPIFFEID("spiffe://a/\(path)")
        #expect(throws: SPIFFEID.ParseError.tooLong) { try SPIFFEID("spiffe://a/\(path)p") }
    }
}
