public import Wire

/// Decides who may call what. A decision's cost does not grow with the number of rules, only with
/// that of the rules which name the method, and of these there are at most `rulesPerPatternMax` for
/// each of its prefixes.
///
/// Methods and paths are keys of a hash table, under each listener that a rule names and under all
/// of them together. Nothing is allocated per decision but by regular expressions.
public final class AccessTable: Sendable {
    public enum Default: String, Sendable { case allow, deny }

    /// Rules with the same method pattern on the same listener.
    public static let rulesPerPatternMax = 256
    /// Items in a rule's `allow`, and in its `deny`.
    public static let itemsMax = 64
    /// Peers, ranges, or values of a claim, in one list.
    public static let entriesMax = 1_024
    /// Conditions on headers, and on claims, in one item.
    public static let conditionsMax = 32
    /// Objects around a claim.
    public static let claimDepthMax = 8

    public let byDefault: Default
    public let rules: [AccessRule]
    /// Of the rules, where they are not too long.
    public let shortNames: [ShortName]
    let parts: Parts

    public init(byDefault: Default) {
        self.byDefault = byDefault
        rules = []
        shortNames = []
        parts = Parts()
    }

    /// Compiles `rules`; throws the first reason why that cannot be done.
    public init(_ rules: [AccessRule], byDefault: Default) throws(AccessProblem) {
        var builder = AccessTableBuilder(rules)
        builder.build()
        if let problem = builder.problems.first { throw problem }
        self.byDefault = byDefault
        self.rules = rules
        shortNames = rules.map { ShortName($0.name) }
        parts = builder.parts
    }

    /// No rule names anything: `outcomeByDefault` is every request's.
    @inline(__always)
    public var isEmpty: Bool { parts.groups.isEmpty }

    public var outcomeByDefault: AccessOutcome { AccessOutcome(decisionByDefault) }

    /// The rules that name a request, or rather where they are.
    ///
    /// - listener: its position in the snapshot's list.
    /// - path: as received, the query included.
    public func match(
        listener: Int, httpMethod: Span<UInt8>, path: Span<UInt8>
    ) -> AccessMatch {
        var match = AccessMatch()
        if isEmpty { return match }
        match.method = parts.methodNumber(httpMethod)
        let prefixes = PathPrefixes(path, limit: parts.prefixDepth)
        match.collect(path, prefixes, owner: 0, in: parts)
        if listener &+ 1 < parts.owners.count {
            match.collect(path, prefixes, owner: listener &+ 1, in: parts)
        }
        return match
    }

    /// What becomes of a request that `match` was found for.
    public func decide(
        _ match: AccessMatch, _ caller: AccessCaller,
        fields: borrowing some RequestFields
    ) -> AccessOutcome {
        if match.count == 0 { return outcomeByDefault }
        let decision = evaluate(match, caller, fields, includesDryRuns: false)
        guard match.has(.dryRun) else { return AccessOutcome(decision) }
        let rehearsal = evaluate(match, caller, fields, includesDryRuns: true)
        let isSame = rehearsal.isAllowed == decision.isAllowed
        return AccessOutcome(decision, rehearsal: isSame ? nil : rehearsal)
    }

    private var decisionByDefault: AccessDecision {
        AccessDecision(byDefault == .allow ? .allowed : .denied, .byDefault)
    }

    private func evaluate(
        _ match: AccessMatch, _ caller: AccessCaller,
        _ fields: borrowing some RequestFields, includesDryRuns: Bool
    ) -> AccessDecision {
        var walk = AccessWalk(includesDryRuns: includesDryRuns)
        var allowing: Int32 = -1
        var namingTokens: Int32 = -1
        while let position = walk.next(match, in: parts) {
            let rule = parts.rules[position]
            if let item = firstHolding(rule.deny, .deny, caller, fields) {
                return AccessDecision(.denied, .denyItem, rule: Int32(position), item: item)
            }
            if rule.allow.count > 0, allowing < 0 { allowing = Int32(position) }
            if rule.namesTokens, namingTokens < 0 { namingTokens = Int32(position) }
        }
        if namingTokens >= 0, let refused = refuseToken(caller, namingTokens) { return refused }
        guard allowing >= 0 else { return decisionByDefault }
        var helped = AccessDecision(.denied, .notAllowed, rule: allowing)
        walk = AccessWalk(includesDryRuns: includesDryRuns)
        while let position = walk.next(match, in: parts) {
            let rule = parts.rules[position]
            if let item = firstHolding(rule.allow, .allow, caller, fields) {
                return AccessDecision(.allowed, .allowItem, rule: Int32(position), item: item)
            }
            if helped.verdict == .denied, rule.namesTokens, case .none = caller.token,
                let item = firstLackingToken(rule.allow, caller, fields)
            {
                helped = AccessDecision(
                    .unauthenticated, .tokenMissing, rule: Int32(position), item: item)
            }
        }
        return helped
    }

    /// A token that is there and not known to be valid lets nobody in where tokens count, whatever
    /// else would.
    private func refuseToken(
        _ caller: AccessCaller, _ rule: Int32
    ) -> AccessDecision? {
        switch caller.token {
        case .none, .valid: nil
        case .invalid: AccessDecision(.unauthenticated, .tokenInvalid, rule: rule)
        case .unavailable: AccessDecision(.unavailable, .tokenUnavailable, rule: rule)
        }
    }

    private func firstHolding(
        _ items: Items, _ effect: AccessEffect, _ caller: AccessCaller,
        _ fields: borrowing some RequestFields
    ) -> Int32? {
        for place in 0..<items.count {
            let item = parts.items[Int(items.first &+ place)]
            if parts.unmet(item, effect, caller, fields) == .nothing { return Int32(place) }
        }
        return nil
    }

    /// An item that a valid token could make hold.
    private func firstLackingToken(
        _ items: Items, _ caller: AccessCaller, _ fields: borrowing some RequestFields
    ) -> Int32? {
        for place in 0..<items.count {
            let item = parts.items[Int(items.first &+ place)]
            if parts.unmet(item, .allow, caller, fields) == .tokenMissing { return Int32(place) }
        }
        return nil
    }
}

/// What an item is for: conditions on headers are read against the caller either way.
enum AccessEffect { case allow, deny }

/// The compiled rules as flat arrays that refer to each other by position; all text is in `bytes`.
extension AccessTable {
    typealias Slice = RouteTable.Slice

    struct Parts: Sendable {
        var bytes: [UInt8] = []
        /// The first is all listeners together, then each.
        var owners = [Owner()]
        var keys: [Key] = []
        var keySlots = SlotTable()
        /// The deepest prefix of any owner.
        var prefixDepth = 0
        var groups: [Group] = []
        var entries: [Entry] = []
        var rules: [Rule] = []
        var items: [Item] = []
        var peers: [Peer] = []
        var ranges: [AddressRange] = []
        var headers: [RouteTable.Condition] = []
        var claims: [Claim] = []
        /// Names and values of claims.
        var texts: [Slice] = []
        var methods: [Slice] = []
        var expressions: [RegularExpression] = []
    }

    struct Owner: Sendable {
        /// Depths at which there are prefixes, as bits 1 to 32.
        var prefixDepths: UInt64 = 0
        var hasExactPaths = false
        /// The group for any path; -1 is none.
        var anyPath: Int32 = -1
    }

    struct Key: Sendable {
        var text: Slice
        /// The owner's position times four, plus the kind of path.
        var owner: UInt32
        var group: UInt32
    }

    /// Rules with the same path.
    struct Group: Sendable {
        var firstEntry: UInt32 = 0
        var entryCount: UInt32 = 0
        var traits: AccessTraits = []
        /// One of its entries asks for an HTTP method.
        var hasMethods = false
    }

    struct Entry: Sendable {
        var rule: UInt32
        /// Position in `methods` plus one; 0 is any.
        var method: UInt32
    }

    struct Items: Sendable {
        var first: UInt32 = 0
        var count: UInt32 = 0
    }

    struct Rule: Sendable {
        var deny = Items()
        var allow = Items()
        var isDryRun = false
        var namesTokens = false

        var traits: AccessTraits {
            if isDryRun { return namesTokens ? [.dryRun, .rehearsedTokens] : .dryRun }
            return namesTokens ? .tokens : []
        }
    }

    struct Item: Sendable {
        var peers = Items()
        var source = Items()
        var client = Items()
        var headers = Items()
        var claims = Items()
        /// Position of the token's issuer; -1 is no condition on a token.
        var issuer: Int32 = -1
        /// Which lists there are, as an empty one lets nobody through.
        var hasPeers = false
        var hasSource = false
        var hasClient = false
    }

    struct Peer: Sendable {
        enum Kind: UInt8 { case exactly, below, dns, verified }
        var kind: Kind
        var text = Slice()
        var hash: UInt64 = 0
    }

    struct Claim: Sendable {
        enum Test: UInt8 { case equals, oneOf, has, prefix, present, header }
        var test: Test
        /// Positions in `texts`.
        var path: Items
        /// Values in `texts`; of `header`, its name.
        var values = Items()
    }
}

extension AccessTable.Items {
    var range: Range<Int> { Int(first)..<Int(first) + Int(count) }
}
