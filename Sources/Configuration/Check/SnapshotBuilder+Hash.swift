internal import Rules
internal import Wire

/// What requests are hashed by.
extension SnapshotBuilder {
    static let hashSourcesMax = 16

    func readHash(_ node: NodeID, _ fields: Fields<BalanceKey>, _ terms: inout BalanceTerms) {
        checkHash(node, fields[.hash], terms)
        if let value = fields[.hash] {
            terms.hash = checker.items(value, "hash sources", 1...Self.hashSourcesMax)
                .compactMap(readHashSource)
        }
        guard let value = fields[.loadLimit] else { return }
        if !terms.isByHash {
            failForeign(value, "load_limit", terms)
        } else if let percent = readLoadLimit(value) {
            terms.loadLimit = LoadLimit(percent: percent)
        }
    }

    /// A hash, where one is needed and nowhere else.
    func checkHash(_ node: NodeID, _ hash: NodeID?, _ terms: BalanceTerms) {
        if terms.isByHash, hash == nil {
            checker.fail(
                .missingKey, node, "\(terms.algorithm.rawValue) has nothing to hash",
                expected: "{algorithm: \(terms.algorithm.rawValue), hash: [{header: x-user}]}")
        } else if !terms.isByHash, let hash {
            failForeign(hash, "hash", terms)
        }
    }

    private func failForeign(_ node: NodeID, _ key: String, _ terms: BalanceTerms) {
        checker.fail(
            .conflict, node, "\(key) means nothing to \(terms.algorithm.rawValue)",
            expected: "algorithm: ring_hash or maglev, or no \(key)")
    }

    private func readLoadLimit(_ node: NodeID) -> Int? {
        guard let bytes = checker.bytes(node, "load_limit") else { return nil }
        guard let percent = Quantity.parse(bytes, [("%", 1)]), (100...1_000).contains(percent)
        else {
            checker.fail(
                .badValue, node, "\(checker.found(node)) where load_limit belongs",
                expected: "100% to 1000% of the average load, in whole numbers")
            return nil
        }
        return Int(percent)
    }

    private func readHashSource(_ node: NodeID) -> HashSource? {
        guard let fields = checker.fields(node, HashSourceKey.self) else { return nil }
        let isFinal = fields[.final].flatMap { checker.boolean($0, "final") } ?? false
        return readKind(fields).map { HashSource($0, isFinal: isFinal) }
    }

    private func readKind(_ fields: Fields<HashSourceKey>) -> HashSource.Kind? {
        if let value = fields[.header] { return readHashHeader(value) }
        if let value = fields[.claim] { return readHashClaim(value) }
        if let value = fields[.cookie] { return readCookie(value).map { .cookie($0) } }
        let flags: [(HashSourceKey, HashSource.Kind)] = [
            (.peer, .peer), (.source, .source), (.client, .client),
        ]
        for (key, kind) in flags {
            if let value = fields[key] { return isTrue(value, key.term.key) ? kind : nil }
        }
        return nil
    }

    private func readHashHeader(_ node: NodeID) -> HashSource.Kind? {
        guard let name = fieldName(node) else { return nil }
        if let reason = ReservedNames.reason(matching: name) {
            checker.fail(
                .reservedHeader, node,
                "requests cannot be hashed by \(checker.found(node)): \(reason.words)",
                expected: reason.expected)
            return nil
        }
        return .header(name)
    }

    private func readHashClaim(_ node: NodeID) -> HashSource.Kind? {
        guard let path = claimPath(node) else { return nil }
        if tokenIssuers.isEmpty {
            checker.fail(
                .conflict, node, "no token is looked at, so that no claim is known",
                expected: "token_issuers, or another hash source")
        }
        return .claim(path)
    }

    private func readCookie(_ node: NodeID) -> AffinityCookie? {
        guard let fields = checker.fields(node, AffinityCookieKey.self) else { return nil }
        var lifetime: Int64?
        if let value = fields[.ttl], let time = checker.duration(value, "ttl") {
            lifetime = time == 0 ? 0 : max(1, time / 1_000_000_000)
        }
        var path = Array("/".utf8)
        if let value = fields[.path] {
            guard let bytes = readCookieText(value, "a path", { $0.first == 0x2f }) else {
                return nil
            }
            path = bytes
        }
        guard let value = fields[.name],
            let name = readCookieText(value, "a cookie's name", { $0.allSatisfy(\.isTokenByte) })
        else { return nil }
        return AffinityCookie(name: name, lifetime: lifetime, path: path)
    }

    /// Text without what would end a cookie's attribute (RFC 6265, 4.1.1).
    private func readCookieText(
        _ node: NodeID, _ what: String, _ isFit: (ArraySlice<UInt8>) -> Bool
    ) -> [UInt8]? {
        guard let bytes = checker.bytes(node, what) else { return nil }
        let isClean = bytes.allSatisfy { $0 > 0x20 && $0 < 0x7f && $0 != 0x3b && $0 != 0x2c }
        guard isClean, !bytes.isEmpty, bytes.count <= 256, isFit(bytes) else {
            checker.fail(
                .badValue, node, "\(checker.found(node)) is not \(what)",
                expected: what == "a path"
                    ? "/ and what follows, without ; and spaces"
                    : "letters, digits and '-', such as weir-affinity")
            return nil
        }
        return Array(bytes)
    }
}
