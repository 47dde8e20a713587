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

    /// Of all calls to an upstream together.
    @inline(always)
    private func callSeries(_ pool: Borrowed<UpstreamPool>) -> Borrowed<SeriesWriter> {
        if let known = pool.use({ $0.series }) { return known }
        return pool.use { pool in
            let made = writer(.clientCall(upstream: pool.name))
            pool.series = made
            return made
        }
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
        workspace.borrowedCounters.use { $0.add(exchange.account.end) }
        let writer = exchange.series ?? routelessSeries(exchange, connection.listener)
        let isGRPC = exchange.isGRPC
        let outcome = Outcome.of(exchange.account, isGRPC: isGRPC)
        var totals = BodyTotals(
            requestBytes: exchange.request.receivedBytes,
            responseBytes: exchange.account.responseBytes, exchange.account)
        let duration = duration(since: exchange.startedAt)
        writer.use { $0.ended(outcome) }.use { block in
            block.add(totals)
            block.add(duration)
        }
        guard let pool = exchange.attempt.use({ $0.pool }) else { return }
        let calls = callSeries(pool)
        calls.use { $0.ended(outcome) }.use { $0.add(duration) }
        if !exchange.tally.isEmpty { retriesEnded(exchange, calls) }
        exchange.attempt.use { attempt in
            guard let series = attempt.series else { return }
            series.use { $0.ended(outcome) }.use { block in
                // As the server's side saw it: not all that came need have gone on.
                let sent = attempt.cursor.position
                let received = attempt.response.receivedBytes
                if totals.differ(requestBytes: sent, responseBytes: received) {
                    totals = BodyTotals(
                        requestBytes: sent, responseBytes: received, exchange.account)
                }
                block.add(totals)
                block.add(self.duration(since: attempt.sentAt))
            }
        }
    }

    private func retriesEnded(_ exchange: Exchange, _ calls: Borrowed<SeriesWriter>) {
        calls.use { $0.retries }.use { block in
            block.add(exchange.tally, now: workspace.now, steps: latencySteps)
        }
    }

    /// An attempt is over that is not its exchange's last, or not the one that was answered by.
    func attemptSeriesEnded(_ attempt: Attempt, _ exchange: Exchange) {
        guard let series = attempt.series else { return }
        attempt.series = nil
        var account = ExchangeAccount()
        account.status = attempt.status
        account.grpcStatus = attempt.grpcStatus
        let totals = BodyTotals(
            requestBytes: attempt.cursor.position, responseBytes: attempt.response.receivedBytes,
            account)
        let outcome = Outcome.of(account, isGRPC: exchange.isGRPC)
        series.use { $0.ended(outcome) }.use { block in
            block.add(totals)
            block.add(duration(since: attempt.sentAt))
        }
    }

    @inline(always)
    private func duration(since start: Int64) -> Elapsed {
        let nanoseconds = max(0, workspace.now &- start)
        let bucket = LatencyBuckets.position(nanoseconds, in: latencySteps)
        return Elapsed(nanoseconds: UInt64(truncatingIfNeeded: nanoseconds), bucket: bucket)
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

    /// Drops the series of what left the configuration or discovery, once no exchange began before
    /// that. Writers that an exchange is still counted in stay until it is over: endpoints may come
    /// and go all day.
    func pruneSeries() {
        guard hasStaleSeries, let snapshot = generation?.snapshot else { return }
        hasStaleSeries = false
        pruneAccessCounts(snapshot.access)
        generation?.forgetAccessCounts()
        let current = CurrentNames(snapshot, pools)
        let stale = seriesWriters.filter { !current.has($0.key) }
        for key in stale.keys { seriesWriters[key] = nil }
        let used = workspace.seriesInUse
        staleSeries = (staleSeries + stale.values).filter { used.contains(ObjectIdentifier($0)) }
        // Whoever remembers one looks it up again.
        for slot in table {
            slot.listener?.forgetSeries()
            (slot.connection as? DownstreamConnection)?.listener.forgetSeries()
        }
        for pool in pools { pool.forgetSeries() }
        workspace.counters.series.remove(stale.values.map(\.series))
    }
}

/// How long something took.
private struct Elapsed {
    let nanoseconds: UInt64
    let bucket: Int
}

/// What one side of an exchange saw of its bodies.
private struct BodyTotals {
    let requestBytes: UInt64
    let responseBytes: UInt64
    let requestMessages: UInt64
    let responseMessages: UInt64
    let requestBucket: Int
    let responseBucket: Int

    @inline(always)
    init(requestBytes: Int64, responseBytes: Int64, _ account: borrowing ExchangeAccount) {
        self.requestBytes = UInt64(truncatingIfNeeded: requestBytes)
        self.responseBytes = UInt64(truncatingIfNeeded: responseBytes)
        requestMessages = UInt64(account.requestMessages.count)
        responseMessages = UInt64(account.responseMessages.count)
        requestBucket = MessageSizeBuckets.position(
            Series.Word.messageBytes(self.requestBytes, messages: requestMessages))
        responseBucket = MessageSizeBuckets.position(
            Series.Word.messageBytes(self.responseBytes, messages: responseMessages))
    }

    @inline(always)
    func differ(requestBytes: Int64, responseBytes: Int64) -> Bool {
        self.requestBytes != UInt64(truncatingIfNeeded: requestBytes)
            || self.responseBytes != UInt64(truncatingIfNeeded: responseBytes)
    }
}

extension CounterBlock {
    @inline(always)
    fileprivate func add(_ totals: BodyTotals) {
        add(totals.requestBytes, at: Series.Word.requestBytes)
        add(totals.responseBytes, at: Series.Word.responseBytes)
        add(totals.requestMessages, at: Series.Word.requestMessages)
        add(totals.responseMessages, at: Series.Word.responseMessages)
        add(1, at: Series.Word.requestSizes &+ totals.requestBucket)
        add(1, at: Series.Word.responseSizes &+ totals.responseBucket)
    }

    @inline(always)
    fileprivate func add(_ duration: Elapsed) {
        add(duration.nanoseconds, at: Series.Word.nanoseconds)
        add(1, at: Series.Word.buckets &+ duration.bucket)
    }
}

/// What the newest configuration names.
private struct CurrentNames {
    private let listeners: Set<String>
    private let routes: Set<String>
    private let upstreams: Set<String>
    private let endpoints: Set<SeriesKey>

    init(_ snapshot: Snapshot, _ pools: [UpstreamPool]) {
        listeners = Set(snapshot.listeners.map(\.name))
        routes = Set(snapshot.routes.map(\.name) + [""])
        upstreams = Set(snapshot.upstreams.map(\.name))
        endpoints = Set(
            pools.lazy.filter { !$0.isRetired }.flatMap { pool in
                pool.addresses.map { .attempt(upstream: pool.name, endpoint: $0) }
            })
    }

    func has(_ key: SeriesKey) -> Bool {
        switch key {
        case .call(let listener, let route, _):
            listeners.contains(listener) && routes.contains(route)
        case .attempt: endpoints.contains(key)
        case .clientCall(let upstream): upstreams.contains(upstream)
        }
    }
}
