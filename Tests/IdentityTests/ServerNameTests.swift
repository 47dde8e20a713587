import Identity
import Testing

@Suite("Server names")
struct ServerNameTests {
    @Test(
        "are matched whole, a wildcard for one label",
        arguments: [
            ("orders.example", "orders.example", true), ("Orders.Example", "orders.example", true),
            ("orders.example", "*.example", false), ("a.orders.example", "*.orders.example", true),
            ("b.a.orders.example", "*.orders.example", false),
            ("orders.example", "*.orders.example", false),
            (".orders.example", "*.orders.example", false),
            ("orders.example", "*.*", false), ("a.b.example", "*.*.example", false),
            ("ab.orders.example", "a*.orders.example", false), ("orders.example", "*", false),
            ("orders.example.evil.example", "orders.example", false),
            ("*.orders.example", "*.orders.example", false), ("", "", false),
            ("10.0.0.1", "*.0.0.1", false), ("10.0.0.1", "10.0.0.1", false),
        ] as [(String, String, Bool)])
    func matches(name: String, pattern: String, expected: Bool) {
        let peer = PeerIdentity(
            spiffeID: nil, dnsNames: ["other.example", pattern], trust: "t", expiresAt: 0,
            fingerprint: [])
        #expect(peer.carries(serverName: name) == expected)
    }
}
