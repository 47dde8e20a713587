internal import Configuration
internal import Proxy
internal import Rules
internal import Wire

/// What the administration interface tells people, who ask with `weir status`.
struct AdminText {
    let state: ProcessState

    init(_ state: ProcessState) { self.state = state }

    var summary: String {
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
        if let old = facts.predecessor {
            let whether = old.isRunning.map { $0 ? ", which drains" : ", which has ended" } ?? ""
            lines.append("took over from process \(old.processID) (\(old.version))\(whether)")
        }
        lines += overload(facts)
        lines.append("listeners:")
        for (listener, count) in zip(facts.snapshot?.listeners ?? [], facts.connections) {
            lines.append("  \(listener.name) on \(listener.address): \(count.value) connections")
        }
        lines.append("upstreams:")
        for (terms, counts) in zip(facts.snapshot?.upstreams ?? [], facts.counts) {
            let (connections, requests) = (counts.connectionCount, counts.requestCount)
            lines.append(
                "  \(terms.name), \(count(terms, facts)) endpoints: \(connections) connections,"
                    + " \(requests) requests, \(counts.pendingCount) pending")
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private func count(_ terms: UpstreamTerms, _ facts: ProcessState.Facts) -> Int {
        guard let source = terms.source else { return terms.endpoints.count }
        return facts.discovery[source]?.endpoints.count ?? 0
    }

    private func overload(_ facts: ProcessState.Facts) -> [String] {
        var lines: [String] = []
        if facts.memory.stage > .none {
            lines.append(
                "overload: stage \(facts.memory.stage.name), \(facts.memory.usedBytes) of "
                    + "\(facts.memory.budgetBytes) bytes")
        }
        for (index, worker) in facts.workers.enumerated()
        where worker.counters.overloadStage > .none {
            let stage = worker.counters.overloadStage.name
            lines.append("overload: stage \(stage), worker \(index) is late")
        }
        return lines
    }

    /// The compiled order: the first that covers a request is taken.
    var routes: String {
        guard let snapshot = state.now.snapshot else { return "" }
        var rows = [["LISTENER", "HOST", "PATH", "METHOD", "CONDITIONS", "ROUTE", "TO"]]
        for listener in snapshot.listeners {
            for entry in listener.routes.entries {
                let route = snapshot.routes[entry.route]
                let conditions = entry.headerConditions + entry.queryConditions
                rows.append([
                    listener.name, entry.host, entry.path, entry.httpMethod ?? "*",
                    "\(conditions)", route.name, target(of: route, snapshot),
                ])
            }
        }
        return Self.table(rows)
    }

    private func target(of route: Route, _ snapshot: Snapshot) -> String {
        switch route.action {
        case .forward(let backends):
            backends.backends.map { snapshot.upstreams[$0.upstream].name }.joined(separator: ",")
        case .respond: "(an answer)"
        case .redirect: "(a redirect)"
        case .health: "(health)"
        }
    }

    var connections: String {
        var rows = [["WORKER", "ID", "SIDE", "OF", "PEER", "STREAMS", ""]]
        for (index, connections) in state.connectionFacts().enumerated() {
            guard let connections else {
                rows.append(["\(index)", "", "", "", "does not answer", "", ""])
                continue
            }
            for facts in connections {
                rows.append([
                    "\(index)", "\(facts.serial)", facts.isDownstream ? "client" : "server",
                    facts.name, "\(facts.peer)", "\(facts.streams)",
                    facts.hasUnsentOutput ? "takes nothing" : "",
                ])
            }
        }
        return Self.table(rows)
    }

    /// Columns as wide as what is in them.
    private static func table(_ rows: [[String]]) -> String {
        var widths = [Int](repeating: 0, count: rows[0].count)
        for row in rows {
            for (column, text) in row.enumerated() {
                widths[column] = max(widths[column], text.count)
            }
        }
        return rows.map { row -> String in
            var line = ""
            for (column, text) in row.enumerated() {
                line += text + String(repeating: " ", count: widths[column] - text.count + 2)
            }
            while line.last == " " { line.removeLast() }
            return line + "\n"
        }.joined()
    }
}

extension ProcessState {
    private static let connectionsMax = 1_000

    /// Of each worker as many as its share of the limit; nil for one that does not answer within a
    /// second.
    func connectionFacts() -> [[ConnectionFacts]?] {
        let workers = now.workers
        let share = max(1, Self.connectionsMax / max(1, workers.count))
        let answers = workers.map { Answer<[ConnectionFacts]>($0.mailbox, limit: share) }
        let deadline = Waiting.now() + 1_000_000_000
        return answers.map { $0.value(by: deadline) }
    }
}
