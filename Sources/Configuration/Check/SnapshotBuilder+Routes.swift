internal import Rules
internal import Wire

/// Routes: their parts are read one by one, and what must hold between them is checked here.
extension SnapshotBuilder {
    static let hostnamesMax = 1_000
    static let matchesMax = 10_000
    static let backendsMax = 100
    /// Of all routes together.
    static let patternsMax = 2_000_000

    func addRoute(_ node: NodeID) {
        guard let fields = checker.fields(node, RouteKey.self) else { return }
        let name = readRouteName(fields)
        let listeners = readListeners(fields)
        let hosts = fields[.hostnames].map(readHostnames) ?? [.any]
        let matches = readMatches(fields)
        let action = readAction(fields, matches)
        let terms = readTerms(fields, matches)
        guard let name, let action else { return }
        checkToken(fields, action, terms)
        checkMirror(fields, action, terms)
        let route = Route(name: name, index: routes.count, action: action, terms: terms)
        routes.append(route)
        let patterns = listeners.count * matches.count * hosts.count
        guard patternCount + patterns <= Self.patternsMax else {
            checker.fail(
                .tooMany, fields.node,
                "the routes have more than \(Self.patternsMax) combinations of listener, hostname "
                    + "and match", expected: "fewer")
            return
        }
        patternCount += patterns
        for listener in listeners {
            for match in matches {
                addPatterns(match, hosts, of: route, to: listener)
            }
        }
    }

    /// A token that is attached takes the place of any other.
    private func checkToken(
        _ fields: Fields<RouteKey>, _ action: Route.Action, _ terms: Route.Terms
    ) {
        guard let edits = terms.requestHeaders, let node = fields[.requestHeaders],
            case .forward(let backends) = action,
            (edits.set + edits.add).contains(where: { $0.name.elementsEqual("authorization".utf8) }
            ),
            let backend = backends.backends.first(where: {
                upstreams[$0.upstream].proof.token != nil
            })
        else { return }
        checker.fail(
            .conflict, node,
            "this route sets authorization, and upstream '\(upstreams[backend.upstream].name)' "
                + "attaches a token there",
            expected: "one of the two")
    }

    private func readRouteName(_ fields: Fields<RouteKey>) -> String? {
        guard let node = fields[.name], let name = checker.name(node, "a route's name") else {
            return nil
        }
        if let first = routeNames.updateValue(node, forKey: name) {
            routeNames[name] = first
            checker.fail(
                .duplicateName, node,
                "another route is called '\(name)', at \(checker.tree.place(first))",
                expected: "a name of its own")
        }
        return name
    }

    /// Positions in the list of listeners.
    private func readListeners(_ fields: Fields<RouteKey>) -> [Int] {
        guard let node = fields[.listeners] else {
            if listeners.count > 1 {
                checker.fail(
                    .missingKey, fields.node,
                    "this route does not say which of the listeners it belongs to",
                    expected: "listeners: a list of names among "
                        + listeners.map(\.name).joined(separator: ", "))
            }
            return listeners.isEmpty ? [] : [0]
        }
        return readListeners(node)
    }

    /// Positions in the list of listeners, for their names.
    func readListeners(_ node: NodeID) -> [Int] {
        readReferences(
            node, "listener", max: Self.listenersMax, known: listeners.map(\.name)
        ) { listenerIndex[$0] }
    }

    private func readTerms(
        _ fields: Fields<RouteKey>, _ matches: [MatchDraft]
    ) -> Route.Terms {
        var terms = Route.Terms()
        terms.isGRPCOnly = matches.contains(where: \.isMethod)
        if fields[.backends] == nil { refuseForwardingTerms(fields) }
        terms.timeout = fields[.timeout].flatMap { checker.duration($0, "a timeout") } ?? 0
        terms.idleTimeout =
            fields[.idleTimeout].flatMap { checker.duration($0, "an idle timeout") } ?? 0
        terms.messages = fields[.messageLimits].map(readMessageLimits) ?? .none
        terms.retry = fields[.retry].flatMap(readRetry)
        terms.isLogged = fields[.accessLog].map { isOn($0, "access_log") } ?? true
        terms.failures = fields[.failures].flatMap(readFailures) ?? .standard
        terms.faults = fields[.fault].flatMap(readFault)
        terms.mirror = fields[.mirror].flatMap { readMirror($0, isMethod: terms.isGRPCOnly) }
        if let node = fields[.rateLimits] {
            (terms.rateLimits, terms.limitService) = readRouteLimits(node)
        }
        terms.rewrite = fields[.rewrite].flatMap { readRewrite($0, matches) }
        terms.requestHeaders = fields[.requestHeaders].flatMap {
            readEdits($0, ofRequests: true, isMethod: terms.isGRPCOnly)
        }
        terms.responseHeaders = fields[.responseHeaders].flatMap {
            readEdits($0, ofRequests: false, isMethod: terms.isGRPCOnly)
        }
        return terms
    }

    private func readMessageLimits(_ node: NodeID) -> MessageLimits {
        var limits = MessageLimits.none
        guard let fields = checker.fields(node, MessageLimitsKey.self) else { return limits }
        let range = MessageLimitsKey.range
        if let value = fields[.request], let size = checker.size(value, "a message", range) {
            limits.requestBytes = UInt32(clamping: size)
        }
        if let value = fields[.response], let size = checker.size(value, "a message", range) {
            limits.responseBytes = UInt32(clamping: size)
        }
        return limits
    }

    private func isOn(_ node: NodeID, _ what: String) -> Bool {
        checker.choice(node, what, ["on", "off"]) != 1
    }

    /// What only a forwarded request has would be ignored without backends.
    private func refuseForwardingTerms(_ fields: Fields<RouteKey>) {
        let keys: [RouteKey] = [
            .timeout, .idleTimeout, .messageLimits, .rewrite, .requestHeaders, .fault, .failures,
            .retry, .mirror,
        ]
        for key in keys {
            guard let node = fields[key] else { continue }
            checker.fail(
                .conflict, node,
                "'\(key.term.key)' means nothing where Weir answers itself",
                expected: "it beside backends only")
        }
    }

    private func addPatterns(
        _ match: MatchDraft, _ hosts: [HostPattern], of route: Route, to listener: Int
    ) {
        for host in hosts {
            var pattern = RoutePattern(route: route.index, routeName: route.name)
            pattern.host = host
            pattern.path = match.path
            pattern.httpMethod = match.httpMethod
            pattern.headers = match.headers
            pattern.query = match.query
            listeners[listener].patterns.append(pattern)
            listeners[listener].places.append(match.node)
        }
    }
}

/// Where requests go.
extension SnapshotBuilder {
    private func readAction(
        _ fields: Fields<RouteKey>, _ matches: [MatchDraft]
    ) -> Route.Action? {
        if let node = fields[.backends] {
            return readBackends(node, isMethod: matches.contains(where: \.isMethod))
                .map(Route.Action.forward)
        }
        if let node = fields[.respond] { return readRespond(node).map(Route.Action.respond) }
        if let node = fields[.redirect] {
            if let match = matches.first(where: \.isMethod) {
                checker.fail(
                    .conflict, match.node, "gRPC calls cannot be redirected",
                    expected: "a match with 'path', or backends instead of the redirect")
            }
            return readRedirect(node, matches).map(Route.Action.redirect)
        }
        if let node = fields[.health] {
            if !matches.contains(where: \.isMethod) {
                checker.fail(
                    .conflict, node, "health checks are gRPC, and this route matches no methods",
                    expected: "matches: [{method: grpc.health.v1.Health/*}]")
            }
            return readHealth(node).map(Route.Action.health)
        }
        return nil
    }

    private func readBackends(_ node: NodeID, isMethod: Bool) -> WeightedBackends? {
        let items = checker.items(node, "backends", 1...Self.backendsMax)
        var backends: [WeightedBackends.Backend] = []
        backends.reserveCapacity(items.count)
        for item in items {
            guard let backend = readBackend(item) else { continue }
            if backends.contains(where: { $0.upstream == backend.upstream }) {
                checker.fail(
                    .duplicateEntry, item,
                    "the upstream '\(upstreams[backend.upstream].name)' is listed twice",
                    expected: "each upstream once, with the sum of the weights")
            }
            backends.append(backend)
            if isMethod {
                upstreams[backend.upstream].hasMethodRoutes = true
            } else {
                upstreams[backend.upstream].hasOtherRoutes = true
            }
        }
        guard !items.isEmpty, backends.count == items.count else { return nil }
        guard backends.contains(where: { $0.weight > 0 }) else {
            checker.fail(
                .nothingReceives, node, "every backend has the weight 0",
                expected: "a weight above 0 for one of them")
            return nil
        }
        return shared(backends)
    }

    private func readBackend(_ node: NodeID) -> WeightedBackends.Backend? {
        guard let fields = checker.fields(node, BackendKey.self) else { return nil }
        var weight: Int64? = 1
        if let value = fields[.weight] { weight = checker.count(value, "a weight", 0...1_000_000) }
        guard let upstream = fields[.upstream].flatMap(readUpstream) else { return nil }
        return weight.map { WeightedBackends.Backend(upstream: upstream, weight: UInt32($0)) }
    }

    /// One value for all routes to one upstream alone: there may be many of them.
    private func shared(_ backends: [WeightedBackends.Backend]) -> WeightedBackends {
        guard backends.count == 1, backends[0].weight == 1 else {
            return WeightedBackends(backends)
        }
        let upstream = backends[0].upstream
        if let known = upstreams[upstream].alone { return known }
        let alone = WeightedBackends(backends)
        upstreams[upstream].alone = alone
        return alone
    }
}
