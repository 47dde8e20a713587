import Peers

/// Access rules that the seed draws: as text for the proxy, and as what they mean, written from the
/// design and not from the proxy's code.
struct AccessPolicy {
    struct Item {
        /// A network and the length of its prefix.
        var source: (network: UInt32, length: Int)?
        /// A name, and how a value must end; "" is present, nil absent.
        var header: (name: String, suffix: String?)?
        /// A pattern as the configuration has it.
        var peer: String?
    }

    struct Rule {
        /// As the configuration has it: a method, a service, a package or `METHOD /path`.
        var names: String
        var isDryRun = false
        var isElsewhere = false
        var deny: [Item] = []
        var allow: [Item] = []
    }

    var allowsByDefault = true
    var rules: [Rule] = []

    /// The policy of a seed's installation with that number. Most let most calls through.
    init(seed: UInt64, installation: Int, knowsPeers: Bool) {
        var chance = Chance(seed: seed &* 0x9e37_79b9_7f4a_7c15 ^ UInt64(installation))
        guard Chance.isLucky(seed, percent: 40) else { return }
        allowsByDefault = chance.hits(percent: 85)
        rules = (0..<chance.below(5)).map { _ in Self.rule(&chance) }
        if knowsPeers { addPeers(&chance) }
    }

    private mutating func addPeers(_ chance: inout Chance) {
        for index in rules.indices where !rules[index].isElsewhere {
            for item in rules[index].deny.indices where chance.hits(percent: 40) {
                rules[index].deny[item].peer = Self.peer(&chance)
            }
            for item in rules[index].allow.indices where chance.hits(percent: 60) {
                rules[index].allow[item].peer = Self.peer(&chance)
            }
        }
    }

    private static func peer(_ chance: inout Chance) -> String {
        let mesh = "spiffe://mesh.example"
        return chance.pick([
            "\(mesh)/web", "\(mesh)/web/*", "\(mesh)/batch", "\(mesh)/*", "verified",
            "dns:weir.example", "spiffe://other.example/*",
        ])
    }

    private static func rule(_ chance: inout Chance) -> Rule {
        let echo = "weir.echo.v1.Echo"
        var rule = Rule(
            names: chance.pick([
                "\(echo)/Unary", "\(echo)/Bidi", "\(echo)/ServerStream", "\(echo)/*", "weir.*",
                "GET /*", "* /files/*", "POST /upload/1", "* /weir.echo.v1.Echo/Unary", "* /*",
            ]))
        rule.isDryRun = chance.hits(percent: 20)
        rule.isElsewhere = chance.hits(percent: 10)
        if chance.hits(percent: 50) { rule.deny = [item(&chance)] }
        if rule.deny.isEmpty || chance.hits(percent: 40) {
            rule.allow = (0..<chance.within(1...2)).map { _ in item(&chance) }
        }
        return rule
    }

    private static func item(_ chance: inout Chance) -> Item {
        var item = Item()
        if chance.hits(percent: 60) {
            item.source = chance.pick([
                (0x0A01_0000, 31), (0x0A01_0001, 32), (0x0A00_0000, 8), (0x0A01_0002, 31),
                (0xC000_0200, 24),
            ])
        }
        if item.source == nil || chance.hits(percent: 30) {
            let name = chance.pick(["x-t-a", "x-t-b", "x-t-c"])
            item.header = (name, chance.pick(["0", "1", "v0", "", nil]))
        }
        return item
    }

    // MARK: What it means

    /// - peer: the SPIFFE ID that the client has proven, if any.
    func admits(_ plan: CallPlan, from source: UInt32, peer: String?) -> Bool {
        let counting = rules.filter {
            !$0.isDryRun && !$0.isElsewhere && Self.covers($0.names, plan)
        }
        let isDenied = counting.contains { rule in
            rule.deny.contains {
                Self.isMeant(peer, by: $0.peer) && Self.holds($0, plan, source, isDeny: true)
            }
        }
        if isDenied { return false }
        let allows = counting.flatMap(\.allow)
        if allows.isEmpty { return allowsByDefault }
        return allows.contains {
            Self.isMeant(peer, by: $0.peer) && Self.holds($0, plan, source, isDeny: false)
        }
    }

    /// DNS names do not count where there is a SPIFFE ID, and in this mesh everybody has one.
    private static func isMeant(_ peer: String?, by pattern: String?) -> Bool {
        guard let pattern else { return true }
        guard let peer else { return false }
        if pattern == "verified" { return true }
        if pattern.hasSuffix("/*") { return peer.hasPrefix(pattern.dropLast()) }
        return peer == pattern
    }

    private static func covers(_ names: String, _ plan: CallPlan) -> Bool {
        let path = String(plan.path.prefix { $0 != "?" })
        let words = names.split(separator: " ").map(String.init)
        if words.count == 2 {
            guard words[0] == "*" || words[0] == plan.method else { return false }
            guard words[1].hasSuffix("/*") else { return path == words[1] }
            return "\(path)/".hasPrefix(words[1].dropLast())
        }
        if names.hasSuffix("*") { return path.hasPrefix("/" + names.dropLast()) }
        return path == "/" + names
    }

    private static func holds(
        _ item: Item, _ plan: CallPlan, _ source: UInt32, isDeny: Bool
    ) -> Bool {
        if let (network, length) = item.source {
            let mask = ~UInt32(0) << UInt32(32 - length)
            if source & mask != network & mask { return false }
        }
        guard let (name, suffix) = item.header else { return true }
        let values = plan.fields.filter { $0.name == name }.map(\.value)
        guard let suffix else { return values.isEmpty }
        let good = values.filter { $0.hasSuffix(suffix) }
        return isDeny ? !good.isEmpty : values.count == 1 && good.count == 1
    }

    // MARK: As text

    /// The key `access` of a configuration with listeners `local` and `elsewhere`.
    var text: String {
        let rules = rules.enumerated().map { index, rule in
            let isHTTP = rule.names.contains(" ")
            var text = "{name: r\(index), \(isHTTP ? "http" : "methods"): [\"\(rule.names)\"]"
            if rule.isDryRun { text += ", mode: dry_run" }
            if rule.isElsewhere { text += ", listeners: [elsewhere]" }
            // Where peers prove who they are: nobody does elsewhere.
            if (rule.deny + rule.allow).contains(where: { $0.peer != nil }) {
                text += ", listeners: [local]"
            }
            if !rule.deny.isEmpty { text += ", deny: [\(Self.text(rule.deny))]" }
            if !rule.allow.isEmpty { text += ", allow: [\(Self.text(rule.allow))]" }
            return text + "}"
        }
        let byDefault = allowsByDefault ? "allow" : "deny"
        return "access: {default: \(byDefault), rules: [\(rules.joined(separator: ", "))]}\n"
    }

    private static func text(_ items: [Item]) -> String {
        items.map { item in
            var parts: [String] = []
            if let (network, length) = item.source {
                let octets = (0..<4).map { String(network >> UInt32(24 - 8 * $0) & 0xff) }
                parts.append("source: [\(octets.joined(separator: "."))/\(length)]")
            }
            if let (name, suffix) = item.header {
                let condition =
                    switch suffix {
                    case nil: "{absent: true}"
                    case "": "{present: true}"
                    case .some(let suffix): "{suffix: \"\(suffix)\"}"
                    }
                parts.append("headers: {\(name): \(condition)}")
            }
            if let peer = item.peer { parts.append("peers: [\"\(peer)\"]") }
            return "{\(parts.joined(separator: ", "))}"
        }.joined(separator: ", ")
    }
}

extension Chance {
    /// The same for a seed at any time.
    fileprivate static func isLucky(_ seed: UInt64, percent: Int) -> Bool {
        var chance = Chance(seed: seed ^ 0x5851_f42d_4c95_7f2d)
        return chance.hits(percent: percent)
    }
}
