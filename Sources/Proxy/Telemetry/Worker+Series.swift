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
        let writer = exchange.downstream.connection?.use { connection in
            let listener = connection.listener
            return declaredSeries(exchange, listener, match, route)
                ?? listener.series(pattern: match.pattern, isGRPC: exchange.isGRPC) {
                    makeSeries(exchange, listener, match, route)
                }
        }
        exchange.series = writer
        writer?.use { $0.began() }
    }

    /// Where the pattern is for more than one method, and the method is one that descriptors
    /// declare.
    @inline(always)
    private func declaredSeries(
        _ exchange: Exchange, _ listener: Listener, _ match: RouteTable.Match,
        _ route: Borrowed<Route>
    ) -> Borrowed<SeriesWriter>? {
        guard exchange.isGRPC, !match.isExactPath,
            let methods = listener.borrowedGeneration.use({ $0.methods }),
            let method = position(of: exchange, in: methods)
        else { return nil }
        return listener.declaredSeries(pattern: match.pattern, method: method) {
            writer(of: route, listener, method: self.method(exchange))
        }
    }

    @inline(always)
    private func position(of exchange: Exchange, in methods: Borrowed<DeclaredMethods>) -> Int? {
        guard let path = exchange.request.headers.value(at: exchange.head.path) else { return nil }
        return methods.use { methods in path.use { methods.position(of: $0) } }
    }

    private func makeSeries(
        _ exchange: Exchange, _ listener: Listener, _ match: RouteTable.Match,
        _ route: Borrowed<Route>
    ) -> Borrowed<SeriesWriter> {
        guard exchange.isGRPC else { return writer(of: route, listener, method: nil) }
        let methods = listener.borrowedGeneration.use { $0.methods }
        let isDeclared = methods.flatMap { position(of: exchange, in: $0) } != nil
        let isNamed = isDeclared || route.use { $0.isGRPCOnly }
        let method = match.isExactPath && isNamed ? self.method(exchange) : "other"
        return writer(of: route, listener, method: method)
    }

    private func writer(
        of route: Borrowed<Route>, _ listener: Listener, method: String?
    ) -> Borrowed<SeriesWriter> {
        let name = route.use { $0.name }
        return writer(.call(listener: listener.terms.name, route: name, method: method))
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
