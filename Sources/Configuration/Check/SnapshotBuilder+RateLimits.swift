internal import Rules
internal import Wire

/// Rate limits, and who is held to them.
extension SnapshotBuilder {
    static let rateLimitsMax = 1_000
    /// Of one listener or route.
    static let rateLimitsOfOneMax = 16

    struct RateLimitDraft {
        let limit: RateLimit
        let node: NodeID
        var isUsed = false
    }

    func addRateLimit(_ node: NodeID) {
        guard let fields = checker.fields(node, RateLimitKey.self) else { return }
        let name = fields[.name].flatMap { checker.name($0, "a rate limit's name") }
        var isKnown = false
        if let name, let place = fields[.name],
            let first = rateLimits.first(where: { $0.limit.name == name })
        {
            checker.fail(
                .duplicateName, place,
                "another rate limit is called '\(name)', at \(checker.tree.place(first.node))",
                expected: "a name of its own")
            isKnown = true
        }
        let rate = fields[.rate].flatMap(readRate)
        let burst = fields[.burst].flatMap { checker.count($0, "a burst", 1...Rate.countMax) }
        let parts = fields[.by].map(readParts) ?? []
        var keys = Int64(RateLimitKey.keysByDefault)
        if let value = fields[.keys] {
            keys = checker.count(value, "a number of keys", RateLimitKey.keysRange) ?? keys
            if fields[.by] == nil {
                checker.fail(
                    .conflict, value, "this rate limit has one bucket, as it has no 'by'",
                    expected: "by: what has a bucket of its own, or no 'keys'")
            }
        }
        let mode = fields[.mode].flatMap { checker.choice($0, "the mode", ["enforce", "dry_run"]) }
        // After errors too, so that names are known.
        let known = rate ?? Rate(count: 1, period: 1_000_000_000)
        let service = fields[.service].flatMap { readService($0, fields) }
        let limit = RateLimit(
            name: name ?? "", known, burst: burst ?? known.count, by: (parts, Int(keys)),
            mode: (mode == 1, service))
        if !isKnown { rateLimits.append(RateLimitDraft(limit: limit, node: node)) }
    }

    private func readService(
        _ node: NodeID, _ limit: Fields<RateLimitKey>
    ) -> RateLimit.Service? {
        for key in [RateLimitKey.burst, .keys] {
            guard let node = limit[key] else { continue }
            checker.fail(
                .conflict, node, "'\(key.term.key)' means nothing where a service knows the rates",
                expected: "it beside rate only")
        }
        guard let fields = checker.fields(node, LimitServiceKey.self) else { return nil }
        let domain = fields[.domain].flatMap { checker.bytes($0, "a domain") }
        let timeout = fields[.timeout].flatMap {
            checker.duration($0, "a timeout", 1_000_000...10_000_000_000, offAllowed: false)
        }
        let onFailure = fields[.onFailure].flatMap {
            checker.choice($0, "on_failure", ["allow", "deny"])
        }
        guard let upstream = fields[.upstream].flatMap(readUpstream) else { return nil }
        upstreams[upstream].hasMethodRoutes = true
        return RateLimit.Service(
            upstream: upstream, domain: Array(domain ?? []),
            timeout: timeout ?? LimitServiceKey.timeoutByDefault, deniesOnFailure: onFailure == 1)
    }

    private func readRate(_ node: NodeID) -> Rate? {
        guard let bytes = checker.bytes(node, "a rate") else { return nil }
        if let rate = RateText.parse(bytes) { return rate }
        checker.fail(
            .badValue, node, "\(checker.found(node)) where a rate belongs",
            expected: RateText.words + ", of at most \(Rate.countMax)")
        return nil
    }

    private func readParts(_ node: NodeID) -> [RateLimit.Part] {
        var parts: [RateLimit.Part] = []
        for item in checker.items(node, "keys", 1...RateLimit.partsMax) {
            guard let part = readPart(item) else { continue }
            if parts.contains(part) {
                checker.fail(
                    .duplicateEntry, item, "\(part.words) is listed twice", expected: "each once")
            }
            parts.append(part)
        }
        return parts
    }

    private func readPart(_ node: NodeID) -> RateLimit.Part? {
        guard checker.tree.kind(node) == .mapping else {
            let choice = checker.choice(node, "what a rate limit counts by", Shape.rateLimitParts)
            return choice.map { [.source, .client, .peer, .method, .route][$0] }
        }
        guard let fields = checker.fields(node, RateLimitPartKey.self) else { return nil }
        if let value = fields[.claim] {
            if tokenIssuers.isEmpty {
                checker.fail(
                    .neverMatches, value, "there are no token issuers, so no claim is ever known",
                    expected: "token_issuers: a list of them")
            }
            return claimPath(value).map { .claim($0) }
        }
        guard let value = fields[.header], let name = fieldName(value) else { return nil }
        let isStripped = HeaderToken.of(name.span).isStrippedFromClients
        if isStripped || ReservedNames.reason(matching: name) != nil {
            checker.fail(
                .reservedHeader, value, "no rate limit can count by \(checker.found(value))",
                expected: "a header that clients set")
            return nil
        }
        return .header(name)
    }

    // MARK: Who is held to them

    /// Positions in the list of rate limits, for their names.
    func readRateLimits(_ node: NodeID) -> [Int] {
        let known = rateLimits.map(\.limit.name).filter { !$0.isEmpty }
        let positions = readReferences(
            node, "rate limit", max: Self.rateLimitsOfOneMax, known: known
        ) { name in rateLimits.firstIndex { $0.limit.name == name } }
        for position in positions { rateLimits[position].isUsed = true }
        return positions
    }

    /// Those that Weir decides, and the position of one that a service does.
    func readRouteLimits(_ node: NodeID) -> (own: [Int], service: Int) {
        let positions = readRateLimits(node)
        let services = positions.filter { rateLimits[$0].limit.service != nil }
        if services.count > 1 {
            checker.fail(
                .conflict, node,
                "this route has \(services.count) rate limits that services decide",
                expected: "one of them at most")
        }
        let own = positions.filter { rateLimits[$0].limit.service == nil }
        return (own, services.first ?? -1)
    }

    func readListenerLimits(_ node: NodeID) -> ListenerTerms.RateLimits {
        var limits = ListenerTerms.RateLimits()
        for position in readRateLimits(node) {
            let limit = rateLimits[position].limit
            if limit.service != nil {
                checker.fail(
                    .conflict, node,
                    "the rate limit '\(limit.name)' is a service's, and asked for routes alone",
                    expected: "it to be named by routes")
            }
            if limit.isOfRoute {
                checker.fail(
                    .conflict, node,
                    "the rate limit '\(limit.name)' counts by route, and a listener knows none",
                    expected: "it to be named by routes alone")
            }
            if limit.isOfIdentity {
                limits.identified.append(position)
            } else {
                limits.first.append(position)
            }
        }
        return limits
    }

    func warnOfUnusedLimits() {
        for draft in rateLimits where !draft.isUsed {
            checker.fail(
                .unused, draft.node,
                "no listener and no route is held to rate limit '\(draft.limit.name)'")
        }
    }
}
