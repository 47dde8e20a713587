internal import Identity
internal import Rules
internal import Wire

/// Access rules.
extension SnapshotBuilder {
    static let accessRulesMax = 100_000
    /// Patterns of one rule, of either kind.
    static let accessPatternsMax = 1_000

    /// A rule with where its parts stand.
    struct AccessDraft {
        let node: NodeID
        var rule: AccessRule
        /// The node of each pattern.
        var places: [NodeID]
    }

    func readAccess(_ node: NodeID) -> AccessTable? {
        guard let fields = checker.fields(node, AccessKey.self) else { return nil }
        let choice = fields[.byDefault].flatMap {
            checker.choice($0, "the default", ["allow", "deny"])
        }
        let drafts = fields[.rules].map(readAccessRules) ?? []
        guard let choice else { return nil }
        let rules = drafts.map(\.rule)
        do {
            let table = try AccessTable(rules, byDefault: choice == 0 ? .allow : .deny)
            if !checker.hasErrors { warnOfWiderRules(drafts, table) }
            return table
        } catch {
            checker.fail(
                .tooMany, drafts[error.rule].node,
                "the access rule '\(drafts[error.rule].rule.name)' \(error.description)",
                expected: "fewer rules with more items")
            return nil
        }
    }

    private func readAccessRules(_ node: NodeID) -> [AccessDraft] {
        var names: [String: NodeID] = [:]
        var drafts: [AccessDraft] = []
        for item in checker.items(node, "access rules", 0...Self.accessRulesMax) {
            guard let fields = checker.fields(item, AccessRuleKey.self) else { continue }
            let name = fields[.name].flatMap { checker.name($0, "an access rule's name") }
            if let name, let place = fields[.name] {
                if let first = names[name] {
                    checker.fail(
                        .duplicateName, place,
                        "another access rule is called '\(name)', at "
                            + "\(checker.tree.place(first))", expected: "a name of its own")
                } else {
                    names[name] = place
                }
            }
            if let draft = readAccessRule(fields, name ?? "") { drafts.append(draft) }
        }
        return drafts
    }

    private func readAccessRule(_ fields: Fields<AccessRuleKey>, _ name: String) -> AccessDraft? {
        var draft = AccessDraft(
            node: fields.node, rule: AccessRule(name: name, patterns: []), places: [])
        if let node = fields[.methods] { readMethods(node, into: &draft) }
        if let node = fields[.http] { readHTTP(node, into: &draft) }
        if fields[.methods] == nil, fields[.http] == nil {
            checker.fail(
                .missingKey, fields.node, "this access rule names nothing that is called",
                expected: "methods, http or both")
        }
        if let node = fields[.listeners] { draft.rule.listeners = readListeners(node) }
        if let node = fields[.mode] {
            let choice = checker.choice(node, "the mode", ["enforce", "dry_run"])
            draft.rule.mode = choice == 1 ? .dryRun : .enforce
        }
        let isProven = provesPeers(draft.rule.listeners)
        if let node = fields[.deny] { draft.rule.deny = readItems(node, isProven) }
        if let node = fields[.allow] { draft.rule.allow = readItems(node, isProven) }
        if fields[.deny] == nil, fields[.allow] == nil {
            checker.fail(
                .missingKey, fields.node,
                "this access rule neither allows nor denies anybody anything",
                expected: "deny, allow or both")
        }
        warnOfExposedTokens(draft)
        return draft.rule.patterns.isEmpty ? nil : draft
    }

    /// Whoever sees a token can use it.
    private func warnOfExposedTokens(_ draft: AccessDraft) {
        guard (draft.rule.deny + draft.rule.allow).contains(where: { $0.token != nil }) else {
            return
        }
        for position in draft.rule.listeners ?? Array(listeners.indices) {
            let listener = listeners[position]
            guard listener.tls == nil, let address = listener.address, !address.isLoopback else {
                continue
            }
            checker.fail(
                .exposedTokens, draft.node,
                "access rule '\(draft.rule.name)' asks for tokens, and at listener "
                    + "'\(listener.name)' they cross the network without TLS")
        }
    }
}

/// What rules name.
extension SnapshotBuilder {
    private func readMethods(_ node: NodeID, into draft: inout AccessDraft) {
        for item in checker.items(node, "methods", 1...Self.accessPatternsMax) {
            guard let path = readMethod(item) else { continue }
            add(AccessPattern(path: path), item, to: &draft)
        }
    }

    private func readHTTP(_ node: NodeID, into draft: inout AccessDraft) {
        for item in checker.items(node, "HTTP paths", 1...Self.accessPatternsMax) {
            guard let text = checker.bytes(item, "an HTTP method and a path") else { continue }
            guard let space = text.firstIndex(of: 0x20), let method = httpMethod(text[..<space]),
                let path = httpPath(text[(space + 1)...], item)
            else {
                checker.fail(
                    .badValue, item, "\(checker.found(item)) is not an HTTP method and a path",
                    expected: "such as GET /v1/orders, GET /v1/* or * /v1/*")
                continue
            }
            guard let path else { continue }
            add(AccessPattern(httpMethod: method, path: path), item, to: &draft)
        }
    }

    private func add(_ pattern: AccessPattern, _ node: NodeID, to draft: inout AccessDraft) {
        if draft.rule.patterns.contains(pattern) {
            checker.fail(
                .duplicateEntry, node, "\(checker.found(node)) is listed twice",
                expected: "each once")
        }
        draft.rule.patterns.append(pattern)
        draft.places.append(node)
    }

    /// Nil within for any method, nil outside for none at all.
    private func httpMethod(_ text: ArraySlice<UInt8>) -> [UInt8]?? {
        if text.elementsEqual([0x2a]) { return .some(nil) }
        let isMethod =
            !text.isEmpty && text.count <= 32
            && text.allSatisfy { $0.isLetter && $0 & 0x20 == 0 || $0 == 0x2d }
        return isMethod ? .some(Array(text)) : nil
    }

    /// Nil within after an error that was reported.
    private func httpPath(_ text: ArraySlice<UInt8>, _ node: NodeID) -> PathPattern?? {
        if text.elementsEqual([0x2a]) { return .some(.exact([0x2a])) }
        guard text.first == 0x2f else { return nil }
        let isPrefix = text.suffix(2).elementsEqual([0x2f, 0x2a])
        let path = Array(isPrefix ? text.dropLast() : text)
        guard !path.contains(0x2a) else { return nil }
        guard let path = checkedPath(path, node, isPrefix: isPrefix) else { return .some(nil) }
        return isPrefix ? .prefix(path) : .exact(path)
    }

    /// Reports an exact method that is open to those whom a wider rule lets in.
    private func warnOfWiderRules(_ drafts: [AccessDraft], _ table: AccessTable) {
        for (index, draft) in drafts.enumerated()
        where draft.rule.mode == .enforce && !draft.rule.allow.isEmpty {
            for (pattern, place) in zip(draft.rule.patterns, draft.places) {
                guard case .exact(let path) = pattern.path,
                    let wider = table.widerRule(than: index, path, pattern.httpMethod)
                else { continue }
                let rule = drafts[wider]
                checker.fail(
                    .widerRule, place,
                    "\(checker.found(place)) is open to those too whom the access rule "
                        + "'\(rule.rule.name)' lets in, at \(checker.tree.place(rule.node))")
            }
        }
    }
}

/// Who they let in and keep out.
extension SnapshotBuilder {
    /// Whether a peer can prove who it is at one of these listeners; true where none is known.
    private func provesPeers(_ positions: [Int]?) -> Bool {
        let positions = positions ?? Array(listeners.indices)
        return positions.isEmpty
            || positions.contains { listeners[$0].tls.map { $0.clients != .none } ?? false }
    }

    private func readItems(_ node: NodeID, _ isProven: Bool) -> [AccessItem] {
        checker.items(node, "access items", 1...AccessTable.itemsMax).compactMap {
            readItem($0, isProven)
        }
    }

    private func readItem(_ node: NodeID, _ isProven: Bool) -> AccessItem? {
        if checker.tree.kind(node) == .scalar {
            return checker.choice(node, "an access item", ["anyone"]).map { _ in AccessItem() }
        }
        guard let fields = checker.fields(node, AccessItemKey.self) else { return nil }
        var item = AccessItem()
        if let value = fields[.peers] {
            item.peers = readPeers(value)
            if !isProven {
                checker.fail(
                    .neverMatches, value,
                    "no listener where this rule counts asks for client certificates",
                    expected: "a listener with tls: {clients: required} or optional")
            }
        }
        if let value = fields[.token] { item.token = readToken(value) }
        if let value = fields[.source] { item.source = readRanges(value, "sources") }
        if let value = fields[.client] { item.client = readRanges(value, "clients") }
        if let value = fields[.headers] {
            item.headers = readHeaders(value, of: "access rules")
            checkHeaders(value)
        }
        if AccessItemKey.allCases.allSatisfy({ fields[$0] == nil }) {
            checker.fail(
                .missingKey, node, "this access item has no condition",
                expected: "peers, token, source, client or headers; for everybody the word anyone")
        }
        return item
    }

    private func readPeers(_ node: NodeID) -> [PeerPattern] {
        checker.items(node, "peers", 1...AccessTable.entriesMax).compactMap(readPeer)
    }

    func readRanges(_ node: NodeID, _ what: String, min: Int = 1) -> [AddressRange] {
        checker.items(node, what, min...AccessTable.entriesMax).compactMap {
            item -> AddressRange? in
            guard let bytes = checker.bytes(item, "a range of addresses") else { return nil }
            do {
                return try AddressRange(parsing: Array(bytes).span)
            } catch AddressRange.ParseError.hostBits(let meant) {
                checker.report(
                    .badValue,
                    Diagnostic(
                        .badValue, checker.tree.place(item),
                        "\(checker.found(item)) has bits behind its prefix",
                        expected: "the range's first address", suggestion: "\(meant)"))
            } catch {
                checker.fail(
                    .badValue, item, "\(checker.found(item)) is not a range of addresses",
                    expected: "such as 10.0.0.0/8, 2001:db8::/32, 192.0.2.1 or unix")
            }
            return nil
        }
    }

    /// What Weir takes from every request before rules look at it.
    private func checkHeaders(_ node: NodeID) {
        guard checker.tree.kind(node) == .mapping else { return }
        checker.tree.forEachEntry(of: node) { key, _ in
            let name = checker.tree.bytes(key).map(\.lowercased)
            guard HeaderToken.of(name.span).isStrippedFromClients else { return }
            checker.fail(
                .reservedHeader, key,
                "access rules cannot depend on \(checker.found(key)): Weir takes it from clients",
                expected: "peers, token, source or client, which cannot be made up")
        }
    }
}

/// Tokens.
extension SnapshotBuilder {
    private func readToken(_ node: NodeID) -> TokenCondition? {
        guard let fields = checker.fields(node, TokenConditionKey.self) else { return nil }
        let claims = fields[.claims].map(readClaims) ?? []
        guard let value = fields[.issuer], let name = checker.name(value, "a token issuer's name")
        else { return nil }
        guard let issuer = tokenIssuerIndex[name] else {
            checker.failUnknown(
                .unknownReference, value, "no token issuer is called",
                known: tokenIssuerIndex.keys.sorted())
            return nil
        }
        return TokenCondition(issuer: issuer, claims: claims)
    }

    private func readClaims(_ node: NodeID) -> [ClaimCondition] {
        guard checker.tree.kind(node) == .mapping else {
            checker.fail(
                .wrongType, node, "\(checker.found(node)) where claims belong",
                expected: "a mapping from names to conditions")
            return []
        }
        guard checker.tree.count(node) <= AccessTable.conditionsMax else {
            checker.fail(
                .tooMany, node, "\(checker.tree.count(node)) claims",
                expected: "at most \(AccessTable.conditionsMax)")
            return []
        }
        var claims: [ClaimCondition] = []
        checker.tree.forEachEntry(of: node) { key, value in
            guard let path = claimPath(key), let test = claimTest(value) else { return }
            if claims.contains(where: { $0.path == path }) {
                checker.fail(
                    .duplicateKey, key, "\(checker.found(key)) is given twice",
                    expected: "each claim once")
            }
            claims.append(ClaimCondition(path: path, test: test))
        }
        return claims
    }

    /// A name, or a JSON Pointer (RFC 6901) through objects.
    func claimPath(_ node: NodeID) -> [[UInt8]]? {
        guard let bytes = checker.bytes(node, "a claim's name"), !bytes.isEmpty else { return nil }
        guard bytes.first == 0x2f else { return [Array(bytes)] }
        let parts = bytes.dropFirst().split(separator: 0x2f, omittingEmptySubsequences: false)
        let path = parts.compactMap(Self.unescaped)
        guard path.count == parts.count, path.count <= AccessTable.claimDepthMax else {
            checker.fail(
                .badValue, node, "\(checker.found(node)) is not a JSON Pointer to a claim",
                expected: "names after /, at most \(AccessTable.claimDepthMax), with ~1 for / and "
                    + "~0 for ~ in them")
            return nil
        }
        return path
    }

    private static func unescaped(_ part: ArraySlice<UInt8>) -> [UInt8]? {
        var name: [UInt8] = []
        var index = part.startIndex
        while index < part.endIndex {
            if part[index] == UInt8(ascii: "~") {
                index += 1
                guard index < part.endIndex, part[index] == 0x30 || part[index] == 0x31 else {
                    return nil
                }
                name.append(part[index] == 0x30 ? UInt8(ascii: "~") : 0x2f)
            } else {
                name.append(part[index])
            }
            index += 1
        }
        return name
    }

    private func claimTest(_ node: NodeID) -> ClaimCondition.Test? {
        guard checker.tree.kind(node) == .mapping else {
            return checker.bytes(node, "a value").map { .equals(Array($0)) }
        }
        guard let fields = checker.fields(node, ClaimConditionKey.self) else { return nil }
        if let value = fields[.equals] {
            return checker.bytes(value, "a value").map { .equals(Array($0)) }
        }
        if let value = fields[.oneOf] {
            let values = checker.items(value, "values", 1...AccessTable.entriesMax)
            return .oneOf(values.compactMap { checker.bytes($0, "a value").map { Array($0) } })
        }
        if let value = fields[.has] { return word(value).map { .has($0) } }
        if let value = fields[.prefix] { return claimText(value).map { .prefix($0) } }
        if let value = fields[.header] { return claimHeader(value) }
        return fields[.present].flatMap { isTrue($0, "present") ? .present : nil }
    }

    private func claimText(_ node: NodeID) -> [UInt8]? {
        guard let bytes = checker.bytes(node, "a value") else { return nil }
        if bytes.isEmpty {
            checker.fail(
                .badValue, node, "an empty text to compare with", expected: "present: true")
            return nil
        }
        return Array(bytes)
    }

    /// What can be a member of a list with spaces between.
    private func word(_ node: NodeID) -> [UInt8]? {
        guard let text = claimText(node) else { return nil }
        if text.contains(0x20) {
            checker.fail(
                .neverMatches, node, "\(checker.found(node)) is more than one member of a list",
                expected: "one; a condition for each of several")
        }
        return text
    }

    private func claimHeader(_ node: NodeID) -> ClaimCondition.Test? {
        guard let name = fieldName(node) else { return nil }
        let isStripped = HeaderToken.of(name.span).isStrippedFromClients
        if isStripped || ReservedNames.reason(matching: name) != nil {
            checker.fail(
                .reservedHeader, node, "no claim can be compared with \(checker.found(node))",
                expected: "a header that clients set, with text")
            return nil
        }
        return .header(name)
    }
}
