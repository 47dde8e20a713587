import Rules
import Testing

@Suite struct RouteListingTests {
    @Test("entries are written as a configuration would write them")
    func text() throws {
        var wildcard = RoutePattern(route: 0, routeName: "wildcard")
        wildcard.host = .wildcard(suffix: Array(".example.com".utf8))
        wildcard.path = .prefix(Array("/files".utf8))
        var exact = RoutePattern(route: 1, routeName: "exact")
        exact.host = .exact(Array("api.example.com".utf8))
        exact.path = .exact(Array("/shop.Orders/Get".utf8))
        exact.httpMethod = Array("POST".utf8)
        var package = RoutePattern(route: 2, routeName: "package")
        package.path = .prefix(Array("/shop.".utf8))
        let rest = RoutePattern(route: 3, routeName: "rest")
        let entries = try RouteTable(patterns: [rest, package, wildcard, exact]).entries
        #expect(entries.map(\.route) == [1, 0, 2, 3])
        #expect(entries.map(\.host) == ["api.example.com", "*.example.com", "*", "*"])
        #expect(entries.map(\.path) == ["/shop.Orders/Get", "/files/*", "/shop.*", "*"])
        #expect(entries.map(\.httpMethod) == ["POST", nil, nil, nil])
    }

    @Test("an empty table has no entries")
    func empty() { #expect(RouteTable().entries.isEmpty) }
}
