internal import Configuration
internal import Logging
internal import Proxy
internal import Rules
internal import Wire

/// The administration interface: docs/admin.md has its pages.
struct AdminPages {
    private static let connectionsMax = 1_000
    let state: ProcessState
    /// Who may ask, besides root.
    let userID: UInt32

    func answer(_ request: HTTPRequest) -> HTTPResponse {
        guard let user = request.userID, user == 0 || user == userID else {
            return HTTPResponse(403, "only root and the user that Weir runs as may ask here\n")
        }
        let pages: [String: (methods: [String], page: (HTTPRequest) -> HTTPResponse)] = [
            "/": (["GET", "HEAD"], { _ in HTTPResponse(200, summary) }),
            "/status": (["GET", "HEAD"], { _ in json(status) }),
            "/routes": (["GET", "HEAD"], { _ in json(routes) }),
            "/upstreams": (["GET", "HEAD"], { _ in json(upstreams) }),
            "/connections": (["GET", "HEAD"], { _ in json(connections) }),
            "/drain": (["POST"], { _ in drain() }),
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
        return .object([
            ("version", .string(Product.version)),
            ("revision", .string(facts.snapshot?.revision ?? "")),
            ("loaded_at", .string(UTC.text(facts.loadedAt))),
            ("last_load_errors", .array(facts.lastErrors.map { .string($0) })),
            ("uptime_seconds", .number(Int(uptime))),
            ("draining", .bool(facts.isDraining)),
            ("workers", .number(facts.workers.count)),
            ("log_level", .string("\(state.level.value)")),
            ("listeners", .array(listeners(facts))),
            ("routes", .number(facts.snapshot?.routes.count ?? 0)),
            ("upstreams", .number(facts.snapshot?.upstreams.count ?? 0)),
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
        }
        return .object(members)
    }

    private var upstreams: JSON {
        let facts = state.now
        let upstreams = zip(facts.snapshot?.upstreams ?? [], facts.counts)
        return .array(
            upstreams.map { terms, counts in
                .object([
                    ("name", .string(terms.name)),
                    ("endpoints", .array(terms.endpoints.map { .string("\($0)") })),
                    ("connections", .number(counts.connectionCount)),
                    ("requests", .number(counts.requestCount)),
                    ("pending", .number(counts.pendingCount)),
                ])
            })
    }

    /// Of each worker as many as its share of the limit; one that does not answer within a second
    /// is told of instead.
    private var connections: JSON {
        let workers = state.now.workers
        let share = max(1, Self.connectionsMax / max(1, workers.count))
        let answers = workers.map { Answer<[ConnectionFacts]>($0.mailbox, limit: share) }
        let deadline = Waiting.now() + 1_000_000_000
        return .array(
            answers.enumerated().flatMap { index, answer -> [JSON] in
                guard let connections = answer.value(by: deadline) else {
                    return [.object([("worker", .number(index)), ("hangs", .bool(true))])]
                }
                return connections.map { connection(index, $0) }
            })
    }

    private func connection(_ worker: Int, _ facts: ConnectionFacts) -> JSON {
        .object([
            ("worker", .number(worker)), ("id", .number(Int(facts.serial))),
            (facts.isDownstream ? "listener" : "upstream", .string(facts.name)),
            ("peer", .string("\(facts.peer)")), ("streams", .number(facts.streams)),
            ("unread_output", .bool(facts.hasUnsentOutput)),
        ])
    }

    // MARK: Orders

    private func drain() -> HTTPResponse {
        state.stopper.stop()
        return HTTPResponse(202, "draining\n")
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

    // MARK: For people

    private var summary: String {
        let facts = state.now
        let uptime = (Waiting.nowSince1970() - facts.startedAt) / 1_000_000_000
        var lines = [
            "weir \(Product.version), up \(uptime) s, \(facts.workers.count) workers"
                + (facts.isDraining ? ", draining" : ""),
            "configuration \(facts.snapshot?.revision ?? "") of \(UTC.text(facts.loadedAt))",
        ]
        if !facts.lastErrors.isEmpty {
            lines.append("the newest text was refused:")
            lines += facts.lastErrors.map { "  " + $0 }
        }
        lines.append("listeners:")
        for (listener, count) in zip(facts.snapshot?.listeners ?? [], facts.connections) {
            lines.append("  \(listener.name) on \(listener.address): \(count.value) connections")
        }
        lines.append("upstreams:")
        for (terms, counts) in zip(facts.snapshot?.upstreams ?? [], facts.counts) {
            let (connections, requests) = (counts.connectionCount, counts.requestCount)
            lines.append(
                "  \(terms.name), \(terms.endpoints.count) endpoints: \(connections) connections,"
                    + " \(requests) requests, \(counts.pendingCount) pending")
        }
        return lines.joined(separator: "\n") + "\n"
    }
}

extension HTTPResponse {
    static func notAllowed(_ methods: String) -> HTTPResponse {
        var response = HTTPResponse(405, "here are \(methods) only\n")
        response.allow = methods
        return response
    }
}
