internal import Identity
internal import Wire

/// Who may sign tokens.
extension SnapshotBuilder {
    static let audiencesMax = 100
    static let claimsMax = 32
    private static let nanosecondsPerSecond: Int64 = 1_000_000_000

    func addTokenIssuer(_ node: NodeID) {
        guard let fields = checker.fields(node, TokenIssuerKey.self) else { return }
        let name = fields[.name].flatMap { checker.name($0, "an issuer's name") }
        if let name, let nameNode = fields[.name],
            let first = tokenIssuers.first(where: { $0.terms.issuer.name == name })
        {
            checker.fail(
                .duplicateName, nameNode,
                "another token issuer is called '\(name)', at \(checker.tree.place(first.node))",
                expected: "a name of its own")
        }
        let issuer = fields[.issuer].flatMap(readIssuer)
        let audiences = fields[.audiences].map { readTexts($0, "audiences") } ?? []
        let algorithms = fields[.algorithms].map(readAlgorithms) ?? []
        let keys = fields[.keys].flatMap { readTokenKeys($0, name ?? "") }
        var signer = TokenIssuer(
            name: name ?? "", issuer: issuer ?? "", audiences: audiences, algorithms: algorithms)
        readChecks(fields, &signer)
        checkKinds(fields, signer, keys)
        guard let keys else { return }
        var terms = TokenIssuerTerms(signer, keys)
        if let node = fields[.forward] {
            terms.forwards = checker.choice(node, "forward", ["remove", "keep"]) == 1
        }
        terms.headers = fields[.claimsToHeaders].map(readClaimHeaders) ?? []
        if let name, tokenIssuerIndex[name] == nil { tokenIssuerIndex[name] = tokenIssuers.count }
        tokenIssuers.append(TokenIssuerDraft(terms: terms, node: node))
    }

    private func readIssuer(_ node: NodeID) -> String? {
        guard let text = checker.text(node, "an issuer") else { return nil }
        guard !text.isEmpty else {
            checker.fail(.badValue, node, "no issuer", expected: "what iss is in its tokens")
            return nil
        }
        let first = tokenIssuers.first { $0.terms.issuer.issuer.hasSameBytes(as: text) }
        if let first {
            checker.fail(
                .duplicateEntry, node,
                "token issuer '\(first.terms.issuer.name)' at \(checker.tree.place(first.node)) "
                    + "has the same issuer, so that a token would be for both",
                expected: "one entry for each issuer; audiences and algorithms are lists")
            return nil
        }
        return text
    }

    /// Texts that are not empty, each once.
    private func readTexts(_ node: NodeID, _ what: String) -> [String] {
        var texts: [String] = []
        for item in checker.items(node, what, 1...Self.audiencesMax) {
            guard let text = checker.text(item, "text") else { continue }
            if text.isEmpty {
                checker.fail(.badValue, item, "nothing among the \(what)", expected: "text")
            } else if texts.contains(where: { $0.hasSameBytes(as: text) }) {
                checker.fail(
                    .duplicateEntry, item, "'\(text.quotable)' is listed twice",
                    expected: "each once")
            } else {
                texts.append(text)
            }
        }
        return texts
    }

    private func readAlgorithms(_ node: NodeID) -> [TokenAlgorithm] {
        let names = TokenAlgorithm.allCases.map(\.rawValue)
        var algorithms: [TokenAlgorithm] = []
        for item in checker.items(node, "algorithms", 1...names.count) {
            guard let index = checker.choice(item, "an algorithm", names) else { continue }
            let algorithm = TokenAlgorithm.allCases[index]
            if algorithms.contains(algorithm) {
                checker.fail(
                    .duplicateEntry, item, "'\(names[index])' is listed twice",
                    expected: "each once")
            } else {
                algorithms.append(algorithm)
            }
        }
        return algorithms
    }

    /// What its tokens must say beyond who signed them.
    private func readChecks(_ fields: Fields<TokenIssuerKey>, _ issuer: inout TokenIssuer) {
        let second = Self.nanosecondsPerSecond
        if let node = fields[.maxLifetime],
            let time = checker.duration(
                node, "max_lifetime", second...Duration.range.upperBound, offAllowed: false)
        {
            issuer.lifetimeMax = time / second
        }
        if let node = fields[.skew],
            let time = checker.duration(node, "skew", second...(TokenIssuer.skewMax * second))
        {
            issuer.skew = time / second
        }
        if let node = fields[.types] {
            issuer.types = readTexts(node, "types").map { $0.lowercased() }
        }
        if let node = fields[.requiredClaims] {
            issuer.requiredClaims = readTexts(node, "required claims")
        }
        if let node = fields[.trustDomain] { issuer.trustDomain = readTrustDomain(node) }
        if let node = fields[.bind] {
            issuer.requiresCertificate = checker.choice(node, "bind", ["certificate"]) == 0
        }
    }

    private func readTrustDomain(_ node: NodeID) -> String? {
        guard let text = checker.text(node, "a trust domain") else { return nil }
        if let id = try? SPIFFEID("spiffe://" + text), id.path.isEmpty, id.trustDomain == text {
            return text
        }
        checker.fail(
            .badValue, node, "'\(text.quotable)' is not a trust domain",
            expected: "lower-case letters, digits, '.', '-' and '_', as in mesh.example")
        return nil
    }

    /// Secrets and public keys never meet: what checks signatures of one kind could make those of
    /// the other.
    private func checkKinds(
        _ fields: Fields<TokenIssuerKey>, _ issuer: TokenIssuer, _ keys: TokenIssuerTerms.Keys?
    ) {
        guard let node = fields[.algorithms], let keys, !issuer.algorithms.isEmpty else { return }
        var isSecret = false
        if case .fixed(let set) = keys { isSecret = set.holdsSecret }
        let wrong = issuer.algorithms.filter { $0.isSymmetric != isSecret }
        if !wrong.isEmpty {
            let names = wrong.map(\.rawValue).joined(separator: ", ")
            checker.fail(
                .conflict, node,
                isSecret
                    ? "a secret is no key for \(names)"
                    : "\(names) would take a secret, which these keys are not",
                expected: isSecret
                    ? "HS256, HS384 and HS512 only" : "other algorithms, or keys: {secret: FILE}")
        } else if case .fixed(let set) = keys {
            for algorithm in issuer.algorithms
            where !set.keys.contains(where: { $0.fits(algorithm) }) {
                checker.fail(
                    .unused, node, "none of the keys is for \(algorithm.rawValue)",
                    expected: "an algorithm that some key is for")
            }
        }
    }

    private func readClaimHeaders(_ node: NodeID) -> [TokenIssuerTerms.ClaimHeader] {
        var headers: [TokenIssuerTerms.ClaimHeader] = []
        for (key, value) in checker.entries(node, "claims", max: Self.claimsMax) {
            guard let claim = checker.text(key, "a claim"), let name = fieldName(value) else {
                continue
            }
            let prefix = Array("x-jwt-".utf8)
            guard name.starts(with: prefix), name.count > prefix.count, !name.contains(0x5f) else {
                checker.fail(
                    .reservedHeader, value,
                    "'\(checker.tree.string(value).quotable)' cannot carry a claim: clients could "
                        + "send it themselves",
                    expected: "a name that begins with x-jwt-, without '_'; those are taken out "
                        + "of what clients send")
                continue
            }
            guard !headers.contains(where: { $0.name == name }) else {
                checker.fail(
                    .duplicateEntry, value, "\(checker.found(value)) carries another claim",
                    expected: "a header for each claim")
                continue
            }
            headers.append(TokenIssuerTerms.ClaimHeader(claim: claim, name: name))
        }
        return headers
    }
}

/// Where keys come from.
extension SnapshotBuilder {
    private static let refreshMin: Int64 = 10_000_000_000
    private static let refreshUsual: Int64 = 300_000_000_000

    private func readTokenKeys(_ node: NodeID, _ name: String) -> TokenIssuerTerms.Keys? {
        guard let fields = checker.fields(node, TokenKeysKey.self) else { return nil }
        for key in [TokenKeysKey.refresh, .authorities] {
            guard let node = fields[key], fields[.url] == nil else { continue }
            checker.fail(
                .conflict, node, "'\(key.term.key)' is about keys from a url",
                expected: "url beside it, or it to be left out")
        }
        if let file = fields[.file] { return readKeyFile(file, name, isSecret: false) }
        if let file = fields[.secret] { return readKeyFile(file, name, isSecret: true) }
        guard let url = fields[.url].flatMap(readKeyURL) else { return nil }
        var refresh: Int64? = Self.refreshUsual
        if let node = fields[.refresh] {
            refresh = checker.duration(
                node, "refresh", Self.refreshMin...Duration.range.upperBound, offAllowed: false)
        }
        let authorities = fields[.authorities].flatMap(readFilePath)
        guard let refresh, fields[.authorities] == nil || authorities != nil else { return nil }
        return .fetched(KeySource(url: url, refresh: refresh, authorities: authorities))
    }

    private func readKeyURL(_ node: NodeID) -> String? {
        guard let text = checker.text(node, "a URL") else { return nil }
        let rest = text.utf8.dropFirst("https://".utf8.count)
        let isURL =
            text.utf8.starts(with: "https://".utf8) && !rest.isEmpty && text.utf8.count <= 2_048
            && rest.first != UInt8(ascii: "/")
            && rest.allSatisfy { $0 > 0x20 && $0 < 0x7f && $0 != 0x40 && $0 != 0x23 }
        if isURL { return text }
        checker.fail(
            .badValue, node, "'\(text.quotable)' is not a URL that keys are fetched from",
            expected: "https:// and a host, without user or fragment")
        return nil
    }

    private func readKeyFile(
        _ node: NodeID, _ name: String, isSecret: Bool
    ) -> TokenIssuerTerms.Keys? {
        guard let path = readFilePath(node) else { return nil }
        let reading = materials.keySet(path, isSecret: isSecret)
        report(reading, node, "the keys of token issuer '\(name)'")
        guard let set = reading.value else { return nil }
        digest.add(set.digest)
        for omission in set.omissions {
            checker.fail(
                .unused, node,
                "key \(omission.index + 1) of \(path) is left out: \(omission.reason)")
        }
        return .fixed(set)
    }
}
