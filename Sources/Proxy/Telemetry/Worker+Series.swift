internal import Configuration
internal import Rules
internal import Wire

/// Which series a request is counted in. Series are made when they are first needed and found by
/// position after that: no request looks up a name.
extension Worker {
    /// The request has a route.
    @inline(always)
    func seriesBegan(
        _ exchange: Exchange, _ match: RouteTable.Match, _ route: Borrowed<Route>
    ) {
        let isGRPC = exchange.isGRPC
        let writer = exchange.downstream.connection?.use { connection in
            connection.listener.series(pattern: match.pattern, isGRPC: isGRPC) {
                makeSeries(exchange, connection.listener, match, route)
            }
        }
        exchange.series = writer
        writer?.use { $0.began() }
    }

    private func makeSeries(
        _ exchange: Exchange, _ listener: Listener, _ match: RouteTable.Match,
        _ route: Borrowed<Route>
    ) -> Borrowed<SeriesWriter> {
        route.use { route in
            var method: String?
            if exchange.isGRPC {
                let isNamed = match.isExactPath && route.isGRPCOnly
                method = isNamed ? self.method(exchange) : "other"
            }
            return writer(
                .call(listener: listener.terms.name, route: route.name, method: method))
        }
    }

    /// `pkg.Service/Method`, as the route's match has it too.
    private func method(_ exchange: Exchange) -> String {
        let path = exchange.request.headers.value(at: exchange.head.path)?.text ?? ""
        return String(path.prefix { $0 != "?" }.dropFirst())
    }

    func series(of endpoint: Endpoint, _ connection: UpstreamConnection) -> Borrowed<SeriesWriter> {
        if let known = endpoint.series {
            known.use { $0.began() }
            return known
        }
        let name = connection.pool.use { $0.name }
        let made = writer(.attempt(upstream: name, endpoint: endpoint.address))
        endpoint.series = made
        made.use { $0.began() }
        return made
    }

    private func writer(_ key: SeriesKey) -> Borrowed<SeriesWriter> {
        if let known = seriesWriters[key] { return Borrowed(known) }
        let writer = SeriesWriter(Series(key))
        seriesWriters[key] = writer
        workspace.counters.series.add(writer.series)
        return Borrowed(writer)
    }

    /// The exchange is over.
    @inline(always)
    func seriesEnded(_ exchange: Exchange, on connection: DownstreamConnection) {
        workspace.counters.add(exchange.account.end)
        let writer = exchange.series ?? routelessSeries(exchange, connection.listener)
        let isGRPC = exchange.isGRPC
        let outcome = Outcome.of(exchange.account, isGRPC: isGRPC)
        writer.use { $0.ended(outcome) }.use { block in
            let received = UInt64(truncatingIfNeeded: exchange.request.receivedBytes)
            let sent = UInt64(truncatingIfNeeded: exchange.account.responseBytes)
            block.add(received, at: Series.Word.requestBytes)
            block.add(sent, at: Series.Word.responseBytes)
            let messages = (exchange.account.requestMessages, exchange.account.responseMessages)
            block.add(UInt64(messages.0.count), at: Series.Word.requestMessages)
            block.add(UInt64(messages.1.count), at: Series.Word.responseMessages)
            addDuration(since: exchange.startedAt, to: block)
        }
        guard let attempt = exchange.account.server.series else { return }
        attempt.use { $0.ended(outcome) }.use { block in
            addDuration(since: exchange.account.server.sentAt, to: block)
        }
    }

    @inline(always)
    private func addDuration(since start: Int64, to block: CounterBlock) {
        let duration = max(0, workspace.now &- start)
        block.add(UInt64(truncatingIfNeeded: duration), at: Series.Word.nanoseconds)
        let bucket = LatencyBuckets.position(duration, in: latencyBounds)
        block.add(1, at: Series.Word.buckets &+ bucket)
    }

    private func routelessSeries(
        _ exchange: Exchange, _ listener: Listener
    ) -> Borrowed<SeriesWriter> {
        let writer = listener.routelessSeries(isGRPC: exchange.isGRPC) {
            let method = exchange.isGRPC ? "other" : nil
            return self.writer(.call(listener: listener.terms.name, route: "", method: method))
        }
        writer.use { $0.began() }
        return writer
    }

    // MARK: Reloads

    /// Drops the series of what left the configuration, once no exchange began before that. Their
    /// writers stay until no exchange at all is left: one may still be counted in them.
    func pruneSeries() {
        guard hasStaleSeries, let snapshot = generation?.snapshot else { return }
        hasStaleSeries = false
        pruneAccessCounts(snapshot.access)
        generation?.forgetAccessCounts()
        let current = CurrentNames(snapshot)
        let stale = seriesWriters.filter { !current.has($0.key) }
        for key in stale.keys { seriesWriters[key] = nil }
        staleSeries += stale.values
        // Whoever remembers one looks it up again.
        for slot in table {
            slot.listener?.forgetSeries()
            (slot.connection as? DownstreamConnection)?.listener.forgetSeries()
        }
        for pool in pools { pool.forgetSeries() }
        workspace.counters.series.remove(stale.values.map(\.series))
    }
}

/// What the newest configuration names.
private struct CurrentNames {
    private let listeners: Set<String>
    private let routes: Set<String>
    private let endpoints: Set<SeriesKey>

    init(_ snapshot: Snapshot) {
        listeners = Set(snapshot.listeners.map(\.name))
        routes = Set(snapshot.routes.map(\.name) + [""])
        endpoints = Set(
            snapshot.upstreams.flatMap { upstream in
                upstream.endpoints.map { .attempt(upstream: upstream.name, endpoint: $0) }
            })
    }

    func has(_ key: SeriesKey) -> Bool {
        switch key {
        case .call(let listener, let route, _):
            listeners.contains(listener) && routes.contains(route)
        case .attempt: endpoints.contains(key)
        }
    }
}
