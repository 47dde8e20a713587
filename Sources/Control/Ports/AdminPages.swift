internal import Configuration
internal import Logging
internal import Proxy
internal import Rules
internal import Wire

/// The administration interface: docs/admin.md has its pages.
struct AdminPages {
    let state: ProcessState
    /// Who may ask, besides root.
    let userID: UInt32

    func answer(_ request: HTTPRequest) -> HTTPResponse {
        guard let user = request.userID, user == 0 || user == userID else {
            return HTTPResponse(403, "only root and the user that Weir runs as may ask here\n")
        }
        let pages: [String: (methods: [String], page: (HTTPRequest) -> HTTPResponse)] = [
            "/": (["GET", "HEAD"], { _ in HTTPResponse(200, AdminText(state).summary) }),
            "/status": (["GET", "HEAD"], { _ in json(status) }),
            "/routes": (["GET", "HEAD"], { _ in json(routes) }),
            "/upstreams": (["GET", "HEAD"], { _ in json(upstreams) }),
            "/rate-limits": (["GET", "HEAD"], { _ in json(RateLimitFigures(state.now).json) }),
            "/connections": (["GET", "HEAD"], { _ in json(connections) }),
            "/configuration": (["GET", "HEAD"], { _ in configuration() }),
            "/explain": (["POST"], explain),
            "/text/routes": (["GET", "HEAD"], { _ in HTTPResponse(200, AdminText(state).routes) }),
            "/text/connections": (
                ["GET", "HEAD"], { _ in HTTPResponse(200, AdminText(state).connections) }
            ),
            "/drain": (["POST"], { _ in drain() }),
            HandOver.page: (["GET", "POST"], takeOver),
            "/log-level": (["GET", "HEAD", "POST"], logLevel),
        ]
        guard let (methods, page) = pages[request.path] else {
            let known = pages.keys.sorted().joined(separator: " ")
            return HTTPResponse(404, "there is no such page; there are \(known)\n")
        }
        guard methods.contains(request.method) else {
            return .notAllowed(methods.joined(separator: ", "))
        }
        return page(request)
    }

    private func json(_ value: JSON) -> HTTPResponse { HTTPResponse(json: value.text() + "\n") }

    // MARK: Pages

    private var status: JSON {
        let facts = state.now
        let uptime = (Waiting.nowSince1970() - facts.startedAt) / 1_000_000_000
        return .object(
            [
                ("version", .string(Product.version)),
                ("revision", .string(facts.snapshot?.revision ?? "")),
                ("loaded_at", .string(UTC.text(facts.loadedAt))),
                ("last_load_errors", .array(facts.lastErrors.map { .string($0) })),
                ("uptime_seconds", .number(Int(uptime))),
                ("draining", .bool(facts.isDraining)),
                ("workers", .number(facts.workers.count)),
                ("log_level", .string("\(state.level.value)")),
                ("overload", overload(facts)),
                ("listeners", .array(listeners(facts))),
                ("routes", .number(facts.snapshot?.routes.count ?? 0)),
                ("upstreams", .number(facts.snapshot?.upstreams.count ?? 0)),
            ] + predecessor(facts))
    }

    private func predecessor(_ facts: ProcessState.Facts) -> [(String, JSON)] {
        guard let predecessor = facts.predecessor else { return [] }
        var members: [(String, JSON)] = [
            ("process", .number(Int(predecessor.processID))),
            ("version", .string(predecessor.version)),
        ]
        if let isRunning = predecessor.isRunning { members.append(("running", .bool(isRunning))) }
        return [("predecessor", .object(members))]
    }

    private func overload(_ facts: ProcessState.Facts) -> JSON {
        .object([
            (
                "memory",
                .object([
                    ("stage", .string(facts.memory.stage.name)),
                    ("bytes", .number(Int(clamping: facts.memory.usedBytes))),
                    ("budget", .number(Int(clamping: facts.memory.budgetBytes))),
                ])
            ),
            ("workers", .array(facts.workers.map { .string($0.counters.overloadStage.name) })),
        ])
    }

    private func listeners(_ facts: ProcessState.Facts) -> [JSON] {
        zip(facts.snapshot?.listeners ?? [], facts.connections).map { listener, count in
            .object([
                ("name", .string(listener.name)), ("address", .string("\(listener.address)")),
                ("connections", .number(count.value)),
            ])
        }
    }

    private var routes: JSON {
        guard let snapshot = state.now.snapshot else { return .array([]) }
        return .array(
            snapshot.listeners.flatMap { listener in
                listener.routes.entries.map { route(listener, $0, snapshot) }
            })
    }

    private func route(
        _ listener: ListenerTerms, _ entry: RouteTable.Entry, _ snapshot: Snapshot
    ) -> JSON {
        let route = snapshot.routes[entry.route]
        var members: [(String, JSON)] = [
            ("listener", .string(listener.name)), ("host", .string(entry.host)),
            ("path", .string(entry.path)),
        ]
        if let method = entry.httpMethod { members.append(("http_method", .string(method))) }
        if entry.headerConditions > 0 {
            members.append(("headers", .number(entry.headerConditions)))
        }
        if entry.queryConditions > 0 { members.append(("query", .number(entry.queryConditions))) }
        members.append(("route", .string(route.name)))
        switch route.action {
        case .forward(let backends):
            let names = backends.backends.map { snapshot.upstreams[$0.upstream].name }
            members.append(("upstreams", .array(names.map { .string($0) })))
        case .respond: members.append(("action", .string("respond")))
        case .redirect: members.append(("action", .string("redirect")))
        case .health: members.append(("action", .string("health")))
        }
        if route.hasFaults { members.append(("injects_faults", .bool(true))) }
        if let mirror = route.mirror {
            members.append(("mirror", .string(snapshot.upstreams[mirror.upstream].name)))
        }
        return .object(members)
    }

    private var upstreams: JSON {
        let facts = state.now
        let upstreams = zip(facts.snapshot?.upstreams ?? [], facts.counts)
        let balance = BalanceFigures(state)
        let mirrors = MirrorFigures(facts)
        return .array(
            upstreams.map { terms, counts in
                let found = terms.source.map { facts.discovery[$0] ?? DiscoveryFacts() }
                let endpoints = found?.endpoints ?? terms.endpoints
                return .object(
                    [
                        ("name", .string(terms.name)),
                        ("endpoints", .array(endpoints.map { .string("\($0.address)") })),
                        ("connections", .number(counts.connectionCount)),
                        ("requests", .number(counts.requestCount)),
                        ("pending", .number(counts.pendingCount)),
                        ("retries", .number(counts.retryCount)),
                    ] + discovery(terms.source, found) + adaptive(terms, counts)
                        + balance.members(of: terms) + HealthFigures(terms, counts).members
                        + mirrors.members(of: terms))
            })
    }

    /// Where the endpoints come from, and how old they are.
    private func discovery(
        _ source: EndpointSource?, _ facts: DiscoveryFacts?
    ) -> [(String, JSON)] {
        guard let source, let facts else { return [] }
        var members: [(String, JSON)] = [("source", .string("\(source)"))]
        if let at = facts.answeredAt { members.append(("last_answer", .string(UTC.text(at)))) }
        if let end = facts.expiresAt {
            let left = max(0, end - Waiting.nowSince1970()) / 1_000_000_000
            members.append(("ttl_left_seconds", .number(Int(left))))
        }
        if let error = facts.lastError { members.append(("last_error", .string(error))) }
        return [("discovery", .object(members))]
    }

    private func adaptive(
        _ terms: UpstreamTerms, _ counts: UpstreamCounts
    ) -> [(String, JSON)] {
        terms.conduct.adaptive == nil
            ? [] : [("adaptive_concurrency", .number(counts.adaptiveConcurrency))]
    }

    private var connections: JSON {
        .array(
            state.connectionFacts().enumerated().flatMap { index, connections -> [JSON] in
                guard let connections else {
                    return [.object([("worker", .number(index)), ("hangs", .bool(true))])]
                }
                return connections.map { connection(index, $0) }
            })
    }

    /// As it is written, variables replaced.
    private func configuration() -> HTTPResponse {
        let sources = state.now.sources
        guard !sources.isEmpty,
            let outline = Outline.json(sources, environment: state.environment)
        else {
            return HTTPResponse(404, "a configuration of more than 16 MiB is not kept\n")
        }
        return json(outline)
    }

    private func connection(_ worker: Int, _ facts: ConnectionFacts) -> JSON {
        var members: [(String, JSON)] = [
            ("worker", .number(worker)), ("id", .number(Int(facts.serial))),
            (facts.isDownstream ? "listener" : "upstream", .string(facts.name)),
            ("peer", .string("\(facts.peer)")),
        ]
        if let proxy = facts.proxy { members.append(("proxy", .string("\(proxy)"))) }
        members += [
            ("streams", .number(facts.streams)), ("unread_output", .bool(facts.hasUnsentOutput)),
        ]
        return .object(members)
    }

    /// What would become of the request that the body describes.
    private func explain(_ request: HTTPRequest) -> HTTPResponse {
        let facts = state.now
        guard !request.isTooLarge else {
            return HTTPResponse(413, "a question of more than 64 KiB\n")
        }
        guard let snapshot = facts.snapshot else { return HTTPResponse(503, "not serving yet\n") }
        do throws(Inquiry.Problem) {
            let explanation = try Inquiry(parsing: request.body).explanation(
                in: snapshot, keys: facts.keys,
                at: Waiting.nowSince1970() / 1_000_000_000)
            return json(
                .object([
                    ("revision", .string(snapshot.revision)),
                    ("verdict", .string("\(explanation.verdict)")),
                    ("lines", .array(explanation.lines.map { .string($0) })),
                ]))
        } catch {
            return HTTPResponse(400, error.words + "\n")
        }
    }

    // MARK: Orders

    private func drain() -> HTTPResponse {
        state.stopper.stop()
        return HTTPResponse(202, "draining\n")
    }

    /// A successor asks for the sockets, and says when it serves: docs/operations.md has the whole.
    private func takeOver(_ request: HTTPRequest) -> HTTPResponse {
        let instance = String(decoding: request.body, as: UTF8.self)
        return state.succession.ask(
            request.method == "POST" ? .isReady(instance: instance) : .sockets,
            processID: request.processID)
    }

    private func logLevel(_ request: HTTPRequest) -> HTTPResponse {
        guard request.method == "POST" else { return HTTPResponse(200, "\(state.level.value)\n") }
        guard let text = request.level, let level = Logger.Level(rawValue: text) else {
            let levels = Logger.Level.allCases.map { "\($0)" }.joined(separator: ", ")
            return HTTPResponse(400, "?level= is one of \(levels)\n")
        }
        state.level.value = level
        return HTTPResponse(200, "\(level)\n")
    }
}

extension HTTPResponse {
    static func notAllowed(_ methods: String) -> HTTPResponse {
        var response = HTTPResponse(405, "here are \(methods) only\n")
        response.allow = methods
        return response
    }
}
