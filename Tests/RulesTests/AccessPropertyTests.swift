import Identity
import Rules
import Testing
import Wire

/// Random rules and calls from few words, so that they often meet.
@Suite struct AccessPropertyTests {
    @Test("the table decides as the rules are told")
    func agreesWithTheRules() throws {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SplitMix(seed)
        var verdicts: [UInt8: Int] = [:]
        var rehearsals = 0
        for round in 0..<600 {
            let rules = try (0..<Int.random(in: 1...12, using: &random)).map { index in
                try Self.rule(index, &random)
            }
            let allows = Bool.random(using: &random)
            let table = try AccessTable(rules, byDefault: allows ? .allow : .deny)
            let naive = NaiveAccess(rules: rules, allowsByDefault: allows)
            for _ in 0..<50 {
                let call = try Self.call(&random)
                let outcome = table.outcome(call)
                let verdict = naive.verdict(call)
                let rehearsed = naive.verdict(call, withDryRuns: true)
                let place: Comment = "seed \(seed), round \(round), \(call)"
                #expect(outcome.decision.verdict == verdict, place)
                let differs = (rehearsed == .allowed) != (verdict == .allowed)
                #expect((outcome.rehearsal != nil) == differs, place)
                if let rehearsal = outcome.rehearsal {
                    #expect(rehearsal.verdict == rehearsed, place)
                    rehearsals += 1
                }
                #expect(Self.isReason(outcome.decision, call, rules), place)
                verdicts[verdict.rawValue, default: 0] += 1
            }
        }
        for verdict in [AccessDecision.Verdict.allowed, .denied, .unauthenticated, .unavailable] {
            let count = verdicts[verdict.rawValue] ?? 0
            #expect(count > 500, "seed \(seed): \(count) \(verdict) show nothing")
        }
        #expect(rehearsals > 500, "seed \(seed)")
    }

    /// Whether the rule and the item that a decision names are ones that it can be for.
    private static func isReason(
        _ decision: AccessDecision, _ call: AccessCall, _ rules: [AccessRule]
    ) -> Bool {
        guard decision.rule >= 0 else { return decision.reason == .byDefault }
        let rule = rules[Int(decision.rule)]
        guard NaiveAccess.names(rule, call), rule.mode == .enforce else { return false }
        switch decision.reason {
        case .byDefault: return false
        case .allowItem:
            return NaiveAccess.holds(rule.allow[Int(decision.item)], call, toDeny: false)
        case .denyItem:
            return NaiveAccess.holds(rule.deny[Int(decision.item)], call, toDeny: true)
        case .notAllowed: return decision.item < 0 && !rule.allow.isEmpty
        case .tokenMissing: return rule.allow[Int(decision.item)].token != nil
        case .tokenInvalid, .tokenUnavailable:
            return (rule.deny + rule.allow).contains { $0.token != nil }
        }
    }

    private static func rule(_ index: Int, _ random: inout SplitMix) throws -> AccessRule {
        var rule = AccessRule(
            name: "r\(index)",
            patterns: (0..<Int.random(in: 1...2, using: &random)).map { _ in pattern(&random) })
        if Int.random(in: 0..<4, using: &random) == 0 { rule.mode = .dryRun }
        if Int.random(in: 0..<3, using: &random) == 0 {
            rule.listeners = Bool.random(using: &random) ? [0] : [1, 2]
        }
        if Int.random(in: 0..<3, using: &random) == 0 {
            rule.deny = [try item(&random, least: 2)]
        }
        rule.allow = try (0..<Int.random(in: 0...2, using: &random)).map { _ in
            try item(&random, least: 0)
        }
        return rule
    }

    private static func pattern(_ random: inout SplitMix) -> AccessPattern {
        let path = path(&random)
        switch Int.random(in: 0..<8, using: &random) {
        case 0: return AccessPattern(path: .any)
        case 1: return AccessPattern(httpMethod: Array("GET".utf8), path: .prefix([0x2f]))
        case 2: return .prefix(path + ".")
        case 3, 4: return .prefix(path + "/")
        case 5: return AccessPattern(httpMethod: Array("GET".utf8), path: .exact(Array(path.utf8)))
        default: return .exact(path)
        }
    }

    private static func item(_ random: inout SplitMix, least: Int) throws -> AccessItem {
        var item = AccessItem()
        var count = 0
        repeat {
            count = 0
            if Int.random(in: 0..<3, using: &random) == 0 {
                item.peers = [try peerPattern(&random)]
                count += 1
            }
            if Int.random(in: 0..<4, using: &random) == 0 {
                item.source = [try range(&random)]
                count += 1
            }
            if Int.random(in: 0..<6, using: &random) == 0 {
                item.client = [try range(&random)]
                count += 1
            }
            if Int.random(in: 0..<4, using: &random) == 0 {
                item.headers = [.make(word(&random), predicate(&random))]
                count += 1
            }
            if Int.random(in: 0..<3, using: &random) == 0 {
                item.token = token(&random)
                count += 1
            }
        } while count < least
        return item
    }

    private static func peerPattern(_ random: inout SplitMix) throws -> PeerPattern {
        let texts = [
            "verified", "dns:a", "dns:b", "spiffe://a/*", "spiffe://a/b", "spiffe://a/b/*",
            "spiffe://a.a/*",
        ]
        return try PeerPattern(texts.randomElement(using: &random) ?? "verified")
    }

    private static func peer(_ random: inout SplitMix) throws -> PeerIdentity? {
        switch Int.random(in: 0..<4, using: &random) {
        case 0: return nil
        case 1: return .dns(word(&random))
        default:
            let ids = ["spiffe://a", "spiffe://a/b", "spiffe://a/b/c", "spiffe://a.a/b"]
            return try .spiffe(ids.randomElement(using: &random) ?? "spiffe://a/b")
        }
    }

    private static func range(_ random: inout SplitMix) throws -> AddressRange {
        let texts = ["10.0.0.0/8", "10.1.0.0/16", "10.1.2.3", "0.0.0.0/0", "192.0.2.0/31"]
        return try AddressRange(parsing: (texts.randomElement(using: &random) ?? "").utf8.span)
    }

    private static func address(_ random: inout SplitMix) -> String {
        let texts = ["10.0.0.1", "10.1.0.1", "10.1.2.3", "192.0.2.1", "192.0.2.2", "11.0.0.0"]
        return texts.randomElement(using: &random) ?? ""
    }

    private static func token(_ random: inout SplitMix) -> TokenCondition {
        let claims = (0..<Int.random(in: 0...2, using: &random)).map { _ in claim(&random) }
        return TokenCondition(issuer: Int.random(in: 0...1, using: &random), claims: claims)
    }

    private static func claim(_ random: inout SplitMix) -> ClaimCondition {
        let text = Array(word(&random).utf8)
        let name = Array(word(&random).utf8)
        let path = Int.random(in: 0..<3, using: &random) == 0 ? [Array("o".utf8), name] : [name]
        let test: ClaimCondition.Test =
            switch Int.random(in: 0..<6, using: &random) {
            case 0: .equals(text)
            case 1: .oneOf([text, Array("7".utf8)])
            case 2: .has(text)
            case 3: .prefix(text)
            case 4: .present
            default: .header(text)
            }
        return ClaimCondition(path: path, test: test)
    }

    private static func claims(_ random: inout SplitMix) -> JSONValue {
        let members = ["a", "b", "c"].map { name in
            JSONValue.Member(name: name, value: value(&random))
        }
        return .object(members + [.init(name: "o", value: .object(members.reversed()))])
    }

    private static func value(_ random: inout SplitMix) -> JSONValue {
        switch Int.random(in: 0..<8, using: &random) {
        case 0: .null
        case 1: .integer(7)
        case 2: .array([.string(word(&random)), .integer(7)])
        case 3: .string("\(word(&random)) \(word(&random))")
        case 4: .string(word(&random) + word(&random))
        case 5: .number("7.0")
        default: .string(word(&random))
        }
    }

    private static func predicate(_ random: inout SplitMix) -> StringPredicate {
        let text = Array(word(&random).utf8)
        return switch Int.random(in: 0..<4, using: &random) {
        case 0: .prefix(text)
        case 1: .present
        case 2: .absent
        default: .exact(text)
        }
    }

    private static func call(_ random: inout SplitMix) throws -> AccessCall {
        var call = AccessCall()
        call.request.method = Bool.random(using: &random) ? "GET" : "POST"
        call.request.path = path(&random)
        if Int.random(in: 0..<4, using: &random) == 0 { call.request.path += "?/a.a" }
        for _ in 0..<Int.random(in: 0...3, using: &random) {
            call.request = call.request.with(word(&random), word(&random))
        }
        call.listener = Int.random(in: 0...3, using: &random)
        call.peer = try peer(&random)
        call.source = address(&random)
        call.client = address(&random)
        switch Int.random(in: 0..<6, using: &random) {
        case 0: call.token = .invalid
        case 1: call.token = .unavailable
        case 2: call.token = .none
        default:
            call.token = .valid(issuer: Int.random(in: 0...1, using: &random), claims(&random))
        }
        return call
    }

    private static func word(_ random: inout SplitMix) -> String {
        ["a", "b", "c"].randomElement(using: &random) ?? "a"
    }

    private static func path(_ random: inout SplitMix) -> String {
        (0..<Int.random(in: 1...3, using: &random)).map { index in
            let separator = index > 0 && Bool.random(using: &random) ? "." : "/"
            return separator + (Int.random(in: 0..<4, using: &random) > 0 ? "a" : "b")
        }.joined()
    }
}
