import Identity
import Rules
import Testing
import Wire

/// The sentences of the design on access, one by one.
@Suite struct AccessTableTests {
    private static let get = "/orders.v1.Orders/Get"

    @Test(
        "a rule names methods, services and packages by whole words, whatever the query",
        arguments: [
            (.exact(get), get, true), (.exact(get), "/orders.v1.Orders/GetAll", false),
            (.exact(get), "/orders.v1.Orders/get", false), (.exact(get), get + "?a=b", true),
            (.exact(get), "/orders.v1.Orders", false),
            (.prefix("/orders.v1.Orders/"), get, true),
            (.prefix("/orders.v1.Orders/"), "/orders.v1.OrdersAdmin/Get", false),
            (.prefix("/orders.v1.Orders/"), "/orders.v1.orders/Get", false),
            (.prefix("/orders."), get, true), (.prefix("/orders."), "/orders/Get", false),
            (.prefix("/orders."), "/ordersx.v1.Orders/Get", false),
            (.prefix("/orders.v1."), get, true), (.prefix("/orders.v2."), get, false),
            (.prefix("/v1/"), "/v1", true), (.prefix("/v1/"), "/v1/a/b", true),
            (.prefix("/v1/"), "/v1beta", false), (.prefix("/v1/"), "/v2?/v1/a", false),
            (.prefix("/"), get, true), (AccessPattern(path: .any), "*", true),
        ] as [(AccessPattern, String, Bool)])
    func names(pattern: AccessPattern, path: String, isNamed: Bool) throws {
        var rule = AccessRule(name: "r", patterns: [pattern])
        rule.deny = [AccessItem()]
        let table = try AccessTable([rule], byDefault: .allow)
        var call = AccessCall()
        call.request.path = path
        #expect(table.outcome(call).decision.isAllowed == !isNamed)
    }

    @Test(
        "an HTTP method is compared as it is; without one any is meant",
        arguments: [("GET", false), ("get", true), ("HEAD", true), ("POST", true)])
    func httpMethods(method: String, isAllowed: Bool) throws {
        var rule = AccessRule(
            name: "r", patterns: [AccessPattern(httpMethod: Array("GET".utf8), path: .any)])
        rule.deny = [AccessItem()]
        let table = try AccessTable([rule], byDefault: .allow)
        var call = AccessCall()
        call.request.method = method
        #expect(table.outcome(call).decision.isAllowed == isAllowed)
    }

    @Test("a rule counts on its listeners alone, on all without any")
    func listeners() throws {
        var some = AccessRule(name: "some", patterns: [.exact(Self.get)])
        some.listeners = [1, 3]
        some.deny = [AccessItem()]
        var none = some
        none.listeners = []
        let table = try AccessTable([some, none], byDefault: .allow)
        let denied = (0...4).filter { !table.outcome(call(listener: $0)).decision.isAllowed }
        #expect(denied == [1, 3])
        some.listeners = nil
        let all = try AccessTable([some], byDefault: .allow)
        #expect((0...4).allSatisfy { !all.outcome(call(listener: $0)).decision.isAllowed })
    }

    private func call(listener: Int) -> AccessCall {
        var call = AccessCall()
        call.request.path = Self.get
        call.listener = listener
        return call
    }

    @Test("every rule that names the method counts: a deny of any beats an allow of any")
    func denyFirst() throws {
        var wide = AccessRule(name: "wide", patterns: [.prefix("/orders.")])
        wide.deny = [try .source("10.9.0.0/16")]
        var exact = AccessRule(name: "exact", patterns: [.exact(Self.get)])
        exact.allow = [AccessItem()]
        for rules in [[wide, exact], [exact, wide]] {
            let table = try AccessTable(rules, byDefault: .allow)
            var call = call(listener: 0)
            #expect(table.outcome(call).decision.reason == .allowItem)
            call.source = "10.9.1.1"
            let decision = table.outcome(call).decision
            #expect(decision.verdict == .denied && decision.reason == .denyItem)
            #expect(rules[Int(decision.rule)].name == "wide" && decision.item == 0)
        }
    }

    @Test("the default counts only where no rule that names the method says who may")
    func byDefault() throws {
        var denying = AccessRule(name: "denying", patterns: [.exact(Self.get)])
        denying.deny = [try .source("10.9.0.0/16")]
        var allowing = AccessRule(name: "allowing", patterns: [.exact("/a.B/C")])
        allowing.allow = [try .source("10.9.0.0/16")]
        for byDefault in [AccessTable.Default.allow, .deny] {
            let table = try AccessTable([denying, allowing], byDefault: byDefault)
            let decision = table.outcome(call(listener: 0)).decision
            #expect(decision.isAllowed == (byDefault == .allow) && decision.reason == .byDefault)
            var other = AccessCall()
            other.request.path = "/a.B/C"
            let refused = AccessDecision(.denied, .notAllowed, rule: 1)
            #expect(table.outcome(other).decision == refused)
        }
    }

    @Test(
        "peers: whole segments below, never itself, never across trust domains",
        arguments: [
            ("spiffe://mesh.example/web/*", "spiffe://mesh.example/web/a", true),
            ("spiffe://mesh.example/web/*", "spiffe://mesh.example/web/a/b", true),
            ("spiffe://mesh.example/web/*", "spiffe://mesh.example/web", false),
            ("spiffe://mesh.example/web/*", "spiffe://mesh.example/website/a", false),
            ("spiffe://mesh.example/web/*", "spiffe://mesh.example.evil/web/a", false),
            ("spiffe://mesh.example/web/*", "spiffe://evil/mesh.example/web/a", false),
            ("spiffe://mesh.example/*", "spiffe://mesh.example/web", true),
            ("spiffe://mesh.example/*", "spiffe://mesh.example", false),
            ("spiffe://mesh.example/*", "spiffe://mesh.example.evil/web", false),
            ("spiffe://mesh.example/web", "spiffe://mesh.example/web", true),
            ("spiffe://mesh.example/web", "spiffe://mesh.example/Web", false),
            ("spiffe://mesh.example/web", "spiffe://mesh.example/web/a", false),
            ("verified", "spiffe://any/one", true), ("dns:a.example", "spiffe://any/one", false),
        ])
    func peers(pattern: String, peer: String, isAllowed: Bool) throws {
        #expect(try allows(pattern, .spiffe(peer)) == isAllowed)
    }

    @Test("a caller without a certificate matches no peer item; DNS names count without SPIFFE IDs")
    func otherPeers() throws {
        for pattern in ["verified", "spiffe://a/*", "spiffe://a/b", "dns:a.example"] {
            #expect(try !allows(pattern, nil), "\(pattern)")
        }
        #expect(try allows("dns:a.example", .dns("b.example", "a.example")))
        #expect(try !allows("dns:a.example", .dns("b.a.example", "*.example")))
        #expect(try allows("verified", .dns()))
        var both = PeerIdentity.dns("a.example")
        both = PeerIdentity(
            spiffeID: try SPIFFEID("spiffe://a/b"), dnsNames: both.dnsNames, trust: "mesh",
            expiresAt: 0, fingerprint: [])
        #expect(try !allows("dns:a.example", both))
    }

    private func allows(_ pattern: String, _ peer: PeerIdentity?) throws -> Bool {
        var item = AccessItem()
        item.peers = [try PeerPattern(pattern)]
        var call = call(listener: 0)
        call.peer = peer
        return try decision(allow: item, call).isAllowed
    }

    private func decision(allow item: AccessItem, _ call: AccessCall) throws -> AccessDecision {
        var rule = AccessRule(name: "r", patterns: [.prefix("/")])
        rule.allow = [item]
        return try AccessTable([rule], byDefault: .allow).outcome(call).decision
    }

    private func decision(deny item: AccessItem, _ call: AccessCall) throws -> AccessDecision {
        var rule = AccessRule(name: "r", patterns: [.prefix("/")])
        rule.deny = [item]
        return try AccessTable([rule], byDefault: .allow).outcome(call).decision
    }

    @Test("all conditions of an item hold together, any item suffices")
    func conjunction() throws {
        var item = try AccessItem.source("10.0.0.0/8")
        item.peers = [try PeerPattern("verified")]
        item.headers = [.make("x-tenant", .exact(Array("a".utf8)))]
        var call = call(listener: 0)
        call.source = "10.0.0.1"
        call.peer = .dns("a")
        #expect(try !decision(allow: item, call).isAllowed)
        call.request = call.request.with("x-tenant", "a")
        #expect(try decision(allow: item, call).isAllowed)
        var elsewhere = call
        elsewhere.source = "192.0.2.1"
        #expect(try !decision(allow: item, elsewhere).isAllowed)
        var rule = AccessRule(name: "r", patterns: [.prefix("/")])
        rule.allow = [item, try .source("192.0.2.0/24")]
        let table = try AccessTable([rule], byDefault: .deny)
        #expect(table.outcome(elsewhere).decision.item == 1)
    }

    @Test("the direct peer and the client behind it are two conditions")
    func addresses() throws {
        var call = call(listener: 0)
        call.source = "10.0.0.1"
        call.client = "203.0.113.7"
        #expect(try decision(allow: .source("10.0.0.0/8"), call).isAllowed)
        #expect(try !decision(allow: .source("203.0.113.0/24"), call).isAllowed)
        var item = AccessItem()
        item.client = [try AddressRange(parsing: "203.0.113.0/24".utf8.span)]
        #expect(try decision(allow: item, call).isAllowed)
        call.client = "10.0.0.1"
        #expect(try !decision(allow: item, call).isAllowed)
        item.client = []
        #expect(try !decision(allow: item, call).isAllowed)
    }

    @Test(
        "headers: an allow needs the field once and right, a deny any of its values",
        arguments: [
            ([], false, false), (["a"], true, true), (["b"], false, false),
            (["a", "a"], false, true), (["a", "b"], false, true), (["b", "a"], false, true),
            (["b", "b"], false, false), (["a,b"], false, false),
        ] as [([String], Bool, Bool)])
    func headers(values: [String], allows: Bool, denies: Bool) throws {
        var call = call(listener: 0)
        for value in values { call.request = call.request.with("x-tenant", value) }
        var item = AccessItem()
        item.headers = [.make("X-Tenant", .exact(Array("a".utf8)))]
        #expect(try decision(allow: item, call).isAllowed == allows)
        #expect(try decision(deny: item, call).isAllowed == !denies)
    }

    @Test("of a header that is not there only absent holds")
    func absent() throws {
        let none = call(listener: 0)
        var once = none
        once.request = once.request.with("x-tenant", "")
        for predicate in [StringPredicate.present, .prefix([]), .contains([]), .exact([])] {
            var item = AccessItem()
            item.headers = [.make("x-tenant", predicate)]
            #expect(try !decision(allow: item, none).isAllowed)
            #expect(try decision(deny: item, none).isAllowed)
            #expect(try decision(allow: item, once).isAllowed)
        }
        var item = AccessItem()
        item.headers = [.make("x-tenant", .absent)]
        #expect(try decision(allow: item, none).isAllowed)
        #expect(try !decision(deny: item, none).isAllowed)
        #expect(try !decision(allow: item, once).isAllowed)
    }

    @Test("a regular expression that gives up on a value holds for a deny and for no allow")
    func regexLimits() throws {
        let expression = try RegularExpression(Array("a+b".utf8))
        var item = AccessItem()
        item.headers = [.make("x", .regex(expression))]
        var call = call(listener: 0)
        let long = String(repeating: "c", count: RegularExpression.valueBytesMax + 1)
        call.request = call.request.with("x", long)
        #expect(try !decision(allow: item, call).isAllowed)
        #expect(try !decision(deny: item, call).isAllowed)
        call.request = self.call(listener: 0).request.with("x", "aab")
        #expect(try decision(allow: item, call).isAllowed)
        call.request = self.call(listener: 0).request.with("x", "aac")
        #expect(try decision(deny: item, call).isAllowed)
    }

    @Test("a table of more rules on a pattern than allowed is refused, one of many patterns is not")
    func limits() throws {
        var rule = AccessRule(name: "r", patterns: [.exact(Self.get)])
        rule.allow = [AccessItem()]
        let most = AccessTable.rulesPerPatternMax
        _ = try AccessTable(Array(repeating: rule, count: most), byDefault: .deny)
        let problem = AccessProblem(rule: most, kind: .tooManyOnPattern)
        #expect(throws: problem) {
            try AccessTable(Array(repeating: rule, count: most + 1), byDefault: .deny)
        }
        let many = (0..<10_000).map { index in
            var rule = rule
            rule.patterns = [.exact("/orders.v1.Orders/M\(index)")]
            return rule
        }
        let table = try AccessTable(many, byDefault: .deny)
        for index in [0, 1, 4_999, 9_999] {
            var call = AccessCall()
            call.request.path = "/orders.v1.Orders/M\(index)"
            #expect(table.outcome(call).decision.rule == Int32(index))
        }
        #expect(!table.outcome(call(listener: 0)).decision.isAllowed)
        let deep = "/" + String(repeating: "a.", count: RouteTable.prefixDepthMax + 1)
        rule.patterns = [.prefix(deep)]
        #expect(throws: AccessProblem(rule: 0, kind: .prefixTooDeep)) {
            try AccessTable([rule], byDefault: .deny)
        }
    }
}

extension AccessItem {
    static func source(_ text: String) throws -> AccessItem {
        var item = AccessItem()
        item.source = [try AddressRange(parsing: text.utf8.span)]
        return item
    }
}
