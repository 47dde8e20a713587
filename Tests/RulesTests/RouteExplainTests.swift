import Rules
import Testing

@Suite struct RouteExplainTests {
    @Test("every pattern that covers host and path is explained, the most specific first")
    func explain() throws {
        var admin = RoutePattern.make("admin", host: "a.example", path: "/a")
        admin.headers = [.make("x-admin", .exact(Array("1".utf8))), .make("x-debug", .absent)]
        var get = RoutePattern.make("get", host: "a.example", path: "/a")
        get.httpMethod = Array("GET".utf8)
        var query = RoutePattern.make("query", prefix: "/a")
        query.query = [.make("v", .present)]
        let patterns = [
            .make("any"), query, get, admin, .make("elsewhere", path: "/b"),
            RoutePattern.make("prefix", prefix: "/a"),
        ]
        let table = try NamedTable(patterns)
        let request = Request(authority: "a.example", path: "/a?v&v")
        #expect(
            table.explain(request) == [
                "get: does not match: the HTTP method is not GET",
                "admin: does not match: the header x-admin is missing",
                "query: does not match: the query's parameter v occurs more than once",
                "prefix: chosen", "any: matches, but another one is more specific",
            ])
        let other = request.with("x-admin", "2")
        #expect(table.explain(other)[1].hasSuffix("the header x-admin has another value"))
        let debug = request.with("x-admin", "1").with("x-debug", "1")
        #expect(table.explain(debug)[1].hasSuffix("the header x-debug is present"))
        #expect(table.explain(debug).count == 5)
        #expect(try NamedTable([.make("a", path: "/a")]).explain(Request(path: "/b")).isEmpty)
    }

    @Test("the compiled order is that of the search")
    func order() throws {
        var get = RoutePattern.make("4", host: "*.b.example", prefix: "/a/b")
        get.httpMethod = Array("GET".utf8)
        let ordered = [
            .make("1", host: "a.example", path: "/a"), .make("2", host: "a.example"),
            .make("3", host: "*.b.example", path: "/z"), get,
            .make("5", host: "*.b.example", prefix: "/a/b"), .make("6", host: "*.b.example"),
            .make("7", host: "*.example", path: "/"), .make("8", path: "/x"),
            .make("9", prefix: "/pkg."), RoutePattern.make("A"),
        ]
        let table = try RouteTable(patterns: ordered.reversed())
        #expect(table.compiledOrder.map(\.pattern) == Array(ordered.indices.reversed()))
        for (compiled, pattern) in zip(table.compiledOrder, ordered) {
            #expect(compiled.host == pattern.host && compiled.path == pattern.path)
            #expect(compiled.httpMethod == pattern.httpMethod)
        }
    }
}
