import Rules
import Testing

@Suite struct RouteTableTests {
    @Test(
        "the host decides first: exact, then the longest wildcard, then any",
        arguments: [
            ("orders.example", "exact"), ("ORDERS.Example:8443", "exact"),
            ("orders.example.", "exact"), ("orders.example.:443", "exact"),
            ("eu.orders.example", "long"), ("a.b.orders.example:1", "long"),
            ("other.example", "short"), ("xorders.example", "short"), ("example", "any"),
            ("orders.example.org", "any"), ("", "any"), ("127.0.0.1:80", "ip"), ("[::1]:80", "ip6"),
            ("[::1]", "ip6"), ("[::2]", "any"), ("orders", "any"),
        ])
    func hosts(authority: String, name: String) throws {
        let table = try NamedTable([
            .make("exact", host: "orders.example"), .make("long", host: "*.orders.example"),
            .make("short", host: "*.example"), .make("any"), .make("ip", host: "127.0.0.1"),
            .make("ip6", host: "[::1]"),
        ])
        #expect(table.route(Request(authority: authority)) == name)
    }

    @Test(
        "the path decides next: exact, then the longest prefix, then any",
        arguments: [
            ("/orders.v1.Orders/Place", "method"), ("/orders.v1.Orders/Place?x", "method"),
            ("/orders.v1.Orders/Get", "service"), ("/orders.v1.Orders/", "service"),
            ("/orders.v1.OrdersAdmin/Get", "package"), ("/orders.v2.Orders/Get", "root package"),
            ("/ordersx.v1.Orders/Get", "any"), ("/orders/v1", "any"),
            ("/v1", "v1"), ("/v1/", "v1"), ("/v1?q", "v1"), ("/v1/x", "v1"), ("/v1beta", "any"),
            ("/v1/x/y", "v1/x/y"), ("/v1/x/y/z", "v1/x/y"), ("/v1/x/yz", "v1"), ("/v1.x", "any"),
            ("/v2", "v2"), ("/v2/", "v2"), ("/v2/a", "v2"), ("/v2a", "any"), ("/", "any"),
            ("/V1", "any"), ("*", "any"), ("/?/v1", "any"),
        ])
    func paths(path: String, name: String) throws {
        let table = try NamedTable([
            .make("any"), .make("method", path: "/orders.v1.Orders/Place"),
            .make("service", prefix: "/orders.v1.Orders/"), .make("package", prefix: "/orders.v1."),
            .make("root package", prefix: "/orders."), .make("v1", prefix: "/v1"),
            .make("v1/x/y", prefix: "/v1/x/y"), .make("v2", prefix: "/v2/"),
        ])
        #expect(table.route(Request(path: path)) == name)
    }

    @Test("a dot ends a package, a slash a segment: the longer prefix is the segment's")
    func dottedSegments() throws {
        let table = try NamedTable([
            .make("dotted", prefix: "/a."), .make("segment", prefix: "/a./"),
        ])
        #expect(table.route(Request(path: "/a.b")) == "dotted")
        #expect(table.route(Request(path: "/a.")) == "segment")
        #expect(table.route(Request(path: "/a./b")) == "segment")
    }

    @Test("a prefix of / is any path")
    func rootPrefix() throws {
        let table = try NamedTable([.make("root", prefix: "/")])
        #expect(table.route(Request(path: "/a")) == "root")
        #expect(table.route(Request(path: "*")) == "root")
        #expect(try NamedTable([.make("exact", path: "/")]).route(Request(path: "/a")) == nil)
    }

    @Test("a more specific host or path whose other conditions fail does not end the search")
    func backtracking() throws {
        var admin = RoutePattern.make("admin", host: "orders.example", path: "/a/b")
        admin.headers = [.make("x-admin", .present)]
        var post = RoutePattern.make("post", host: "*.example", prefix: "/a")
        post.httpMethod = Array("POST".utf8)
        let table = try NamedTable([
            admin, post, .make("here", host: "orders.example", path: "/c"),
            .make("fallback", prefix: "/a"),
        ])
        let request = Request(authority: "orders.example", path: "/a/b")
        #expect(table.route(request) == "post")
        #expect(table.route(request.with("x-admin", "1")) == "admin")
        var get = request
        get.method = "GET"
        #expect(table.route(get) == "fallback")
        get.path = "/b"
        #expect(table.route(get) == nil)
    }

    @Test("with host and path alike method, headers, query and name decide, in this order")
    func ranks() throws {
        func pattern(_ name: String, method: String? = nil, headers: Int, query: Int)
            -> RoutePattern
        {
            var pattern = RoutePattern.make(name, path: "/a")
            pattern.httpMethod = method.map { Array($0.utf8) }
            pattern.headers = (0..<headers).map { .make("h\($0)", .present) }
            pattern.query = (0..<query).map { QueryCondition.make("q\($0)", .present) }
            return pattern
        }
        let patterns = [
            pattern("1 method", method: "POST", headers: 0, query: 0),
            pattern("2 headers", headers: 2, query: 0),
            pattern("3 header and query", headers: 1, query: 2),
            pattern("4 header and parameter", headers: 1, query: 1),
            pattern("5 a", headers: 0, query: 1), pattern("5 b", headers: 0, query: 1),
            pattern("6 nothing", headers: 0, query: 0),
        ]
        for rotation in patterns.indices {
            var left = Array(patterns[rotation...] + patterns[..<rotation])
            for expected in patterns {
                let table = try NamedTable(left)
                var request = Request(path: "/a?q0=1&q1=2").with("h0", "1").with("h1", "2")
                request.method = "POST"
                #expect(table.route(request) == expected.routeName)
                left.removeAll { $0.routeName == expected.routeName }
            }
        }
    }

    @Test("no route is found in an empty table")
    func empty() throws {
        #expect(try NamedTable([]).route(Request()) == nil)
        let found = RouteTable().match(
            authority: "a".utf8.span, httpMethod: "GET".utf8.span, path: "/".utf8.span,
            fields: Request())
        #expect(found == nil)
    }
}

@Suite struct RouteConditionTests {
    @Test(
        "a header must be there exactly once and be as asked",
        arguments: [
            (.exact(Array("on".utf8)), ["on"], true), (.exact(Array("on".utf8)), ["On"], false),
            (.exact(Array("on".utf8)), ["on", "on"], false), (.exact(Array("on".utf8)), [], false),
            (.exact([]), [""], true), (.exact([]), [], false), (.exact([]), ["x"], false),
            (.exact(Array("a,b".utf8)), ["a", "b"], false),
            (.prefix(Array("on".utf8)), ["once"], true), (.prefix(Array("on".utf8)), ["o"], false),
            (.prefix(Array("on".utf8)), ["on"], true), (.prefix(Array("on".utf8)), ["non"], false),
            (.suffix(Array("on".utf8)), ["non"], true), (.suffix(Array("on".utf8)), ["one"], false),
            (.suffix(Array("on".utf8)), ["n"], false), (.suffix(Array("on".utf8)), ["on"], true),
            (.contains(Array("on".utf8)), ["ionic"], true),
            (.contains(Array("on".utf8)), ["in"], false),
            (.contains(Array("on".utf8)), ["oon"], true),
            (.contains(Array("on".utf8)), [""], false),
            (.contains(Array("on".utf8)), ["x", "on"], false),
            (.present, ["x"], true), (.present, [""], true), (.present, [], false),
            (.present, ["x", "y"], false),
            (.absent, [], true), (.absent, [""], false), (.absent, ["x", "y"], false),
        ] as [(StringPredicate, [String], Bool)])
    func headers(predicate: StringPredicate, values: [String], matches: Bool) throws {
        var pattern = RoutePattern.make("route")
        pattern.headers = [.make("X-Beta", predicate)]
        let table = try NamedTable([pattern])
        let request = values.reduce(Request().with("x-alpha", "on")) { $0.with("x-beta", $1) }
        #expect((table.route(request) != nil) == matches)
    }

    @Test(
        "a parameter must be there exactly once and be as asked, byte for byte",
        arguments: [
            ("/a?x=on", .exact(Array("on".utf8)), true), ("/a", .exact(Array("on".utf8)), false),
            ("/a?", .present, false), ("/a?x", .present, true), ("/a?x=", .exact([]), true),
            ("/a?x", .exact([]), true), ("/a?y=1&x=on&z", .exact(Array("on".utf8)), true),
            ("/a?x=on&x=on", .exact(Array("on".utf8)), false), ("/a?x=on&x", .present, false),
            ("/a?X=on", .present, false), ("/a?xx=on", .present, false), ("/a?=x", .present, false),
            ("/a?%78=on", .present, false), ("/a?x=%6fn", .exact(Array("on".utf8)), false),
            ("/a?x=a=b", .exact(Array("a=b".utf8)), true), ("/a?&&x=on&", .present, true),
            ("/a?x=a+b", .exact(Array("a b".utf8)), false), ("/a?x=on?", .suffix([0x3f]), true),
            ("/a?y", .absent, true), ("/a", .absent, true), ("/a?x", .absent, false),
            ("/a?x&x", .absent, false), ("/a?x=/on;", .prefix([0x2f]), true),
        ] as [(String, StringPredicate, Bool)])
    func query(path: String, predicate: StringPredicate, matches: Bool) throws {
        var pattern = RoutePattern.make("route", path: "/a")
        pattern.query = [.make("x", predicate)]
        #expect((try NamedTable([pattern]).route(Request(path: path)) != nil) == matches)
    }

    @Test("a method is compared with its case")
    func methods() throws {
        var get = RoutePattern.make("get")
        get.httpMethod = Array("GET".utf8)
        var post = RoutePattern.make("post")
        post.httpMethod = Array("POST".utf8)
        let table = try NamedTable([get, post])
        for (method, name) in [("GET", "get"), ("POST", "post"), ("get", nil), ("GETX", nil)] {
            var request = Request()
            request.method = method
            #expect(table.route(request) == name)
        }
    }
}

@Suite struct RegularExpressionTests {
    @Test(
        "a regular expression must match all of a value",
        arguments: [
            ("a+", "aaa", true), ("a+", "aab", false), ("a+", "baa", false), ("a|ab", "ab", true),
            ("", "", true), ("", "a", false), ("a*", "", true), ("(?i)on", "ON", true),
            ("a$", "a\n", false), (".", "é", false), ("..", "é", true), ("[^a]", "\n", true),
        ])
    func whole(pattern: String, value: String, matches: Bool) throws {
        let expression = try RegularExpression(Array(pattern.utf8))
        let verdict = expression.verdict(on: value.utf8.span)
        #expect(verdict == (matches ? .matches : .differs))
    }

    @Test("what is no regular expression is explained")
    func errors() {
        let open = #expect(throws: RegularExpression.SyntaxError.self) {
            try RegularExpression(Array("a(b".utf8))
        }
        #expect(open?.offset == 3)
        #expect(open?.description.contains("parenthesis at byte 3") == true)
        let long = #expect(throws: RegularExpression.SyntaxError.self) {
            try RegularExpression([UInt8](repeating: 0x61, count: 1_025))
        }
        #expect(long?.description.contains("1024 bytes") == true)
        #expect(throws: RegularExpression.SyntaxError.self) {
            try RegularExpression(Array("(*UTF)a".utf8))
        }
    }

    @Test("a value that takes too long to try does not match, and says so")
    func limits() throws {
        let expression = try RegularExpression(Array("(a+)+[bc]".utf8))
        let slow = String(repeating: "a", count: 100)
        #expect(expression.verdict(on: slow.utf8.span) == .exceedsLimits)
        #expect(expression.verdict(on: (slow + "b").utf8.span) == .matches)
        let any = try RegularExpression(Array(".*".utf8))
        let long = String(repeating: "a", count: RegularExpression.valueBytesMax)
        #expect(any.verdict(on: long.utf8.span) == .matches)
        #expect(any.verdict(on: (long + "a").utf8.span) == .exceedsLimits)
        var pattern = RoutePattern.make("route")
        pattern.headers = [.make("x", .regex(expression))]
        let table = try NamedTable([pattern])
        #expect(table.route(Request().with("x", slow)) == nil)
        #expect(table.route(Request().with("x", "aab")) == "route")
    }

    @Test("many threads may use one expression at a time")
    func threads() async throws {
        let expression = try RegularExpression(Array("(a|b)*c".utf8))
        await withTaskGroup(of: Bool.self) { group in
            for worker in 0..<8 {
                group.addTask {
                    (0..<500).allSatisfy { round in
                        let isMatch = (worker + round).isMultiple(of: 2)
                        let text =
                            String(repeating: "ab", count: round % 40) + (isMatch ? "c" : "d")
                        let verdict = expression.verdict(on: text.utf8.span)
                        return verdict == (isMatch ? .matches : .differs)
                    }
                }
            }
            for await isRight in group { #expect(isRight) }
        }
    }
}
