internal import Identity
internal import Wire

/// Compiles rules into the arrays of an `AccessTable`, in time proportional to their size.
struct AccessTableBuilder {
    private let rules: [AccessRule]
    private(set) var parts = AccessTable.Parts()
    private(set) var problems: [AccessProblem] = []
    /// Of each group.
    private var entries: [[AccessTable.Entry]] = []
    private var knownTexts: [[UInt8]: AccessTable.Slice] = [:]

    init(_ rules: [AccessRule]) { self.rules = rules }

    /// Fills `parts` and `problems`. With problems, parts are of no use.
    mutating func build() {
        let listeners = rules.compactMap { $0.listeners?.max() }.max().map { $0 + 1 } ?? 0
        parts.owners += Array(repeating: AccessTable.Owner(), count: listeners)
        let keys = rules.reduce(0) { $0 + $1.patterns.count * max($1.listeners?.count ?? 1, 1) }
        parts.keySlots = SlotTable(count: keys)
        for (position, rule) in rules.enumerated() {
            parts.rules.append(compiled(rule))
            name(rule, position)
        }
        for (group, members) in entries.enumerated() {
            parts.groups[group].firstEntry = UInt32(truncatingIfNeeded: parts.entries.count)
            parts.groups[group].entryCount = UInt32(truncatingIfNeeded: members.count)
            parts.entries += members
        }
        // Positions in the bytes have 32 bits.
        if parts.bytes.count > UInt32.max { fail(0, .tooMuch) }
    }

    private mutating func fail(_ rule: Int, _ kind: AccessProblem.Kind) {
        problems.append(AccessProblem(rule: rule, kind: kind))
    }

    private mutating func append(_ bytes: [UInt8]) -> AccessTable.Slice {
        if let known = knownTexts[bytes] { return known }
        let start = UInt32(truncatingIfNeeded: parts.bytes.count)
        parts.bytes += bytes
        let slice = AccessTable.Slice(start: start, count: UInt32(truncatingIfNeeded: bytes.count))
        knownTexts[bytes] = slice
        return slice
    }
}

/// What rules name.
extension AccessTableBuilder {
    private mutating func name(_ rule: AccessRule, _ position: Int) {
        for pattern in rule.patterns {
            let method = pattern.httpMethod.map { addMethod($0, position) } ?? 0
            let entry = AccessTable.Entry(rule: UInt32(position), method: method)
            guard let listeners = rule.listeners else {
                add(entry, to: group(pattern.path, owner: 0, position))
                continue
            }
            for listener in listeners {
                add(entry, to: group(pattern.path, owner: listener + 1, position))
            }
        }
    }

    private mutating func add(_ entry: AccessTable.Entry, to group: Int) {
        let isKnown = entries[group].contains { $0.rule == entry.rule && $0.method == entry.method }
        if isKnown { return }
        if entries[group].count == AccessTable.rulesPerPatternMax {
            fail(Int(entry.rule), .tooManyOnPattern)
            return
        }
        entries[group].append(entry)
        parts.groups[group].traits.formUnion(parts.rules[Int(entry.rule)].traits)
        if entry.method > 0 { parts.groups[group].hasMethods = true }
    }

    private mutating func group(_ path: PathPattern, owner: Int, _ rule: Int) -> Int {
        guard let (text, kind) = path.key else {
            if parts.owners[owner].anyPath < 0 {
                parts.owners[owner].anyPath = Int32(truncatingIfNeeded: addGroup())
            }
            return Int(parts.owners[owner].anyPath)
        }
        if kind == .exact {
            parts.owners[owner].hasExactPaths = true
        } else {
            let depth = PathPrefixes.depth(text.span, kind)
            if depth > RouteTable.prefixDepthMax { fail(rule, .prefixTooDeep) }
            parts.owners[owner].prefixDepths |= 1 << UInt64(min(depth, 63))
            parts.prefixDepth = max(parts.prefixDepth, min(depth, RouteTable.prefixDepthMax))
        }
        let tag = UInt32(owner) << 2 | kind.rawValue
        let hash = RouteHash(text.span).value
        if let known = parts.group(text.span, hash, tag) { return known }
        parts.keySlots.insert(parts.keys.count, RouteHash.key(hash, tag))
        let group = addGroup()
        let slice = append(text)
        parts.keys.append(
            AccessTable.Key(text: slice, owner: tag, group: UInt32(truncatingIfNeeded: group)))
        return group
    }

    private mutating func addGroup() -> Int {
        entries.append([])
        parts.groups.append(AccessTable.Group())
        return entries.count - 1
    }

    private mutating func addMethod(_ method: [UInt8], _ rule: Int) -> UInt32 {
        let known = parts.methodNumber(method.span)
        if known > 0 { return known }
        guard parts.methods.count < RouteTable.methodsMax else {
            fail(rule, .tooManyMethods)
            return 0
        }
        let slice = append(method)
        parts.methods.append(slice)
        return UInt32(parts.methods.count)
    }
}

/// Who they let in and keep out.
extension AccessTableBuilder {
    private mutating func compiled(_ rule: AccessRule) -> AccessTable.Rule {
        var compiled = AccessTable.Rule()
        compiled.isDryRun = rule.mode == .dryRun
        compiled.namesTokens = (rule.deny + rule.allow).contains { $0.token != nil }
        compiled.deny = add(rule.deny.map { self.compiled($0) }, to: \.items)
        compiled.allow = add(rule.allow.map { self.compiled($0) }, to: \.items)
        return compiled
    }

    private mutating func add<Element>(
        _ elements: [Element], to list: WritableKeyPath<AccessTable.Parts, [Element]>
    ) -> AccessTable.Items {
        let first = UInt32(truncatingIfNeeded: parts[keyPath: list].count)
        parts[keyPath: list] += elements
        return AccessTable.Items(first: first, count: UInt32(truncatingIfNeeded: elements.count))
    }

    private mutating func compiled(_ item: AccessItem) -> AccessTable.Item {
        var compiled = AccessTable.Item()
        if let peers = item.peers {
            compiled.hasPeers = true
            compiled.peers = add(peers.map { self.compiled($0) }, to: \.peers)
        }
        if let source = item.source {
            compiled.hasSource = true
            compiled.source = add(source, to: \.ranges)
        }
        if let client = item.client {
            compiled.hasClient = true
            compiled.client = add(client, to: \.ranges)
        }
        compiled.headers = add(item.headers.map { self.compiled($0) }, to: \.headers)
        if let token = item.token {
            compiled.issuer = Int32(truncatingIfNeeded: token.issuer)
            compiled.claims = add(token.claims.map { self.compiled($0) }, to: \.claims)
        }
        return compiled
    }

    private mutating func compiled(_ pattern: PeerPattern) -> AccessTable.Peer {
        switch pattern {
        case .verified: return AccessTable.Peer(kind: .verified)
        case .exactly(let id):
            let text = Array(id.description.utf8)
            let hash = RouteHash(text.span).value
            return AccessTable.Peer(kind: .exactly, text: append(text), hash: hash)
        case .below(let start):
            return AccessTable.Peer(kind: .below, text: append(Array(start.utf8)))
        case .dns(let name): return AccessTable.Peer(kind: .dns, text: append(Array(name.utf8)))
        }
    }

    private mutating func compiled(_ condition: HeaderCondition) -> RouteTable.Condition {
        var text = AccessTable.Slice()
        if case .regex(let expression) = condition.predicate {
            text.start = UInt32(truncatingIfNeeded: parts.expressions.count)
            parts.expressions.append(expression)
        } else if let bytes = condition.predicate.text {
            text = append(bytes)
        }
        let name = append(condition.name.map(\.lowercasedASCII))
        return RouteTable.Condition(
            name: name, text: text, comparison: condition.predicate.comparison)
    }

    private mutating func compiled(_ claim: ClaimCondition) -> AccessTable.Claim {
        let path = addTexts(claim.path)
        switch claim.test {
        case .present: return AccessTable.Claim(test: .present, path: path)
        case .equals(let text):
            return AccessTable.Claim(test: .equals, path: path, values: addTexts([text]))
        case .oneOf(let texts):
            return AccessTable.Claim(test: .oneOf, path: path, values: addTexts(texts))
        case .has(let text):
            return AccessTable.Claim(test: .has, path: path, values: addTexts([text]))
        case .prefix(let text):
            return AccessTable.Claim(test: .prefix, path: path, values: addTexts([text]))
        case .header(let name):
            let name = name.map(\.lowercasedASCII)
            return AccessTable.Claim(test: .header, path: path, values: addTexts([name]))
        }
    }

    private mutating func addTexts(_ texts: [[UInt8]]) -> AccessTable.Items {
        add(texts.map { append($0) }, to: \.texts)
    }
}
