import Identity
import Rules
import Testing
import Wire

/// What tokens do to decisions.
@Suite struct AccessTokenTests {
    @Test(
        "claims are compared by text, in each of their ways",
        arguments: [
            (.equals("a"), .string("a"), true), (.equals("a"), .string("A"), false),
            (.equals("a"), .string("ab"), false), (.equals("a"), .array([.string("a")]), false),
            (.equals("7"), .integer(7), true), (.equals("7"), .string("7"), true),
            (.equals("-7"), .integer(-7), true), (.equals("7"), .integer(-7), false),
            (.equals("07"), .integer(7), false), (.equals("0"), .integer(0), true),
            (.equals("-9223372036854775808"), .integer(.min), true),
            (.equals("7.0"), .number("7.0"), false), (.equals("true"), .bool(true), true),
            (.equals("true"), .bool(false), false), (.equals("false"), .bool(false), true),
            (.equals("null"), .null, false), (.equals(""), .string(""), true),
            (.equals("\u{e9}"), .string("e\u{301}"), false),
            (.oneOf("a", "b"), .string("b"), true), (.oneOf("a", "b"), .string("c"), false),
            (.has("a"), .array([.string("b"), .string("a")]), true),
            (.has("a"), .array([.array([.string("a")])]), false),
            (.has("7"), .array([.integer(7)]), true), (.has("a"), .array([]), false),
            (.has("orders.read"), .string("orders.write orders.read"), true),
            (.has("orders.read"), .string("orders.read"), true),
            (.has("orders.read"), .string("orders.readonly"), false),
            (.has("orders.read"), .string("xorders.read"), false),
            (.has("orders.read"), .string("a,orders.read"), false),
            (.has("a"), .string("  a "), true), (.has("a"), .bool(true), false),
            (.prefix("user:"), .string("user:7"), true),
            (.prefix("user:"), .string("user"), false),
            (.prefix("7"), .integer(77), false), (.present, .string(""), true),
            (.present, .null, false), (.present, .object([]), true),
        ] as [(ClaimCondition.Test, JSONValue, Bool)])
    func claims(test: ClaimCondition.Test, value: JSONValue, holds: Bool) throws {
        let condition = ClaimCondition(path: [Array("c".utf8)], test: test)
        let token = JSONValue.object([.init(name: "c", value: value)])
        #expect(try verdict(allow: [condition], token) == (holds ? .allowed : .denied))
        #expect(try verdict(deny: [condition], token) == (holds ? .denied : .allowed))
        // Elsewhere it is another claim.
        let other = JSONValue.object([.init(name: "d", value: value)])
        #expect(try verdict(allow: [condition], other) == .denied)
        let inner = JSONValue.object([.init(name: "c", value: token)])
        #expect(try verdict(allow: [.nested(test)], inner) == (holds ? .allowed : .denied))
    }

    private func table(
        allow: [ClaimCondition]? = nil, deny: [ClaimCondition]? = nil
    ) throws -> AccessTable {
        var rule = AccessRule(name: "r", patterns: [.prefix("/")])
        rule.allow = allow.map { [.token($0)] } ?? []
        rule.deny = deny.map { [.token($0)] } ?? []
        return try AccessTable([rule], byDefault: .allow)
    }

    private func verdict(
        allow: [ClaimCondition]? = nil, deny: [ClaimCondition]? = nil, _ claims: JSONValue
    ) throws -> AccessDecision.Verdict {
        var call = AccessCall()
        call.token = .valid(issuer: 0, claims)
        return try table(allow: allow, deny: deny).outcome(call).decision.verdict
    }

    @Test("another issuer's token is of no use and keeps nobody out")
    func issuers() throws {
        var call = AccessCall()
        call.token = .valid(issuer: 1, .object([]))
        let refused = AccessDecision(.denied, .notAllowed, rule: 0)
        #expect(try table(allow: []).outcome(call).decision == refused)
        #expect(try table(deny: []).outcome(call).decision.isAllowed)
        call.token = .valid(issuer: 0, .object([]))
        #expect(try table(allow: []).outcome(call).decision.reason == .allowItem)
        #expect(try table(deny: []).outcome(call).decision.reason == .denyItem)
    }

    @Test(
        "a claim is compared with a header's only value to allow, with any to deny",
        arguments: [
            ([], false, false), (["a"], true, true), (["b"], false, false),
            (["a", "b"], false, true), (["a", "a"], false, true),
        ] as [([String], Bool, Bool)])
    func headers(values: [String], allows: Bool, denies: Bool) throws {
        let condition = ClaimCondition(
            path: [Array("tenant".utf8)], test: .header(Array("X-Tenant".utf8)))
        var call = AccessCall()
        call.token = .valid(
            issuer: 0, .object([.init(name: "tenant", value: .string("a"))]))
        for value in values { call.request = call.request.with("x-tenant", value) }
        #expect(try table(allow: [condition]).outcome(call).decision.isAllowed == allows)
        #expect(try table(deny: [condition]).outcome(call).decision.isAllowed == !denies)
        // Without a token: it could help only where there is one value to compare with.
        call.token = .none
        let verdict = try table(allow: [condition]).outcome(call).decision.verdict
        #expect(verdict == (values.count == 1 ? .unauthenticated : .denied))
    }

    /// By what else there is beside the token item: nothing, an item that lets everybody in, or a
    /// deny that holds.
    @Test(
        "a token that is there must be valid wherever tokens are named",
        arguments: [
            (.none, .unauthenticated, .allowed, .denied),
            (.invalid, .unauthenticated, .unauthenticated, .denied),
            (.unavailable, .unavailable, .unavailable, .denied),
            (.valid(issuer: 0, .null), .allowed, .allowed, .denied),
            (.valid(issuer: 1, .null), .denied, .allowed, .denied),
        ]
            as [(
                AccessCall.Token, AccessDecision.Verdict, AccessDecision.Verdict,
                AccessDecision.Verdict
            )])
    func states(
        token: AccessCall.Token, alone: AccessDecision.Verdict, open: AccessDecision.Verdict,
        denied: AccessDecision.Verdict
    ) throws {
        var call = AccessCall()
        call.token = token
        var rule = AccessRule(name: "r", patterns: [.prefix("/")])
        rule.allow = [.token([])]
        #expect(try AccessTable([rule], byDefault: .allow).outcome(call).decision.verdict == alone)
        rule.allow.append(AccessItem())
        #expect(try AccessTable([rule], byDefault: .deny).outcome(call).decision.verdict == open)
        rule.deny = [AccessItem()]
        #expect(try AccessTable([rule], byDefault: .deny).outcome(call).decision.verdict == denied)
    }

    @Test("where no rule that names the method names tokens, a token is not looked at")
    func elsewhere() throws {
        var rule = AccessRule(name: "r", patterns: [.exact("/a.B/C")])
        rule.allow = [.token([])]
        var other = AccessRule(name: "o", patterns: [.exact("/a.B/D")])
        other.allow = [AccessItem()]
        let table = try AccessTable([rule, other], byDefault: .allow)
        var call = AccessCall()
        call.token = .invalid
        call.request.path = "/a.B/D"
        #expect(table.outcome(call).decision.isAllowed)
        for (path, names) in [("/a.B/C", true), ("/a.B/D", false), ("/a.B/E", false)] {
            let match = table.match(
                listener: 0, httpMethod: "POST".utf8.span, path: path.utf8.span)
            #expect(match.namesTokens == names && !match.rehearsesTokens)
        }
    }

    @Test("a missing token is told only where nothing else is in the way")
    func couldHelp() throws {
        var item = AccessItem.token([])
        item.source = [try AddressRange(parsing: "10.0.0.0/8".utf8.span)]
        item.peers = [try PeerPattern("verified")]
        var rule = AccessRule(name: "r", patterns: [.prefix("/")])
        rule.allow = [item]
        let table = try AccessTable([rule], byDefault: .allow)
        var call = AccessCall()
        call.source = "10.0.0.1"
        #expect(table.outcome(call).decision.verdict == .denied)
        call.peer = .dns("a")
        let missing = AccessDecision(.unauthenticated, .tokenMissing, rule: 0, item: 0)
        #expect(table.outcome(call).decision == missing)
        call.source = "192.0.2.1"
        #expect(table.outcome(call).decision.verdict == .denied)
    }

    @Test(
        "a rule in dry run neither allows nor denies; what it would do is told",
        arguments: [
            // (enforced allows everyone?), (dry run's item), token, verdict, rehearsed
            (true, false, .none, .allowed, nil), (true, true, .none, .allowed, .denied),
            (false, false, .none, .denied, .allowed), (false, true, .none, .denied, nil),
        ] as [(Bool, Bool, AccessCall.Token, AccessDecision.Verdict, AccessDecision.Verdict?)])
    func dryRuns(
        byDefault: Bool, denies: Bool, token: AccessCall.Token, verdict: AccessDecision.Verdict,
        rehearsed: AccessDecision.Verdict?
    ) throws {
        var rule = AccessRule(name: "r", patterns: [.prefix("/")])
        rule.mode = .dryRun
        if denies { rule.deny = [AccessItem()] } else { rule.allow = [AccessItem()] }
        let table = try AccessTable([rule], byDefault: byDefault ? .allow : .deny)
        var call = AccessCall()
        call.token = token
        let outcome = table.outcome(call)
        #expect(outcome.decision.verdict == verdict && outcome.decision.rule == -1)
        #expect(outcome.rehearsal?.verdict == rehearsed)
        #expect(outcome.rehearsal.map { $0.rule == 0 } ?? true)
    }

    @Test("a rule in dry run that names tokens refuses no token that is not valid")
    func dryRunTokens() throws {
        var rule = AccessRule(name: "r", patterns: [.prefix("/")])
        rule.mode = .dryRun
        rule.allow = [.token([])]
        let table = try AccessTable([rule], byDefault: .allow)
        for token in [AccessCall.Token.none, .invalid, .unavailable] {
            var call = AccessCall()
            call.token = token
            let outcome = table.outcome(call)
            #expect(outcome.decision.reason == .byDefault && outcome.decision.isAllowed)
            #expect(outcome.rehearsal.map { !$0.isAllowed } == true)
        }
        let match = table.match(listener: 0, httpMethod: "POST".utf8.span, path: "/".utf8.span)
        #expect(match.rehearsesTokens && !match.namesTokens)
    }
}

extension AccessItem {
    fileprivate static func token(_ claims: [ClaimCondition]) -> AccessItem {
        var item = AccessItem()
        item.token = TokenCondition(issuer: 0, claims: claims)
        return item
    }
}

extension ClaimCondition {
    fileprivate static func nested(_ test: Test) -> ClaimCondition {
        ClaimCondition(path: [Array("c".utf8), Array("c".utf8)], test: test)
    }
}

extension ClaimCondition.Test {
    fileprivate static func equals(_ text: String) -> Self { .equals(Array(text.utf8)) }
    fileprivate static func oneOf(_ texts: String...) -> Self {
        .oneOf(texts.map { Array($0.utf8) })
    }
    fileprivate static func has(_ text: String) -> Self { .has(Array(text.utf8)) }
    fileprivate static func prefix(_ text: String) -> Self { .prefix(Array(text.utf8)) }
}
