internal import Configuration
internal import Rules
internal import Wire

/// A request's way from its HEADERS to a stream at a server.
extension Worker {
    /// Something of the request arrived.
    @inline(always)
    func requestProgressed(_ exchange: Exchange) {
        exchange.request.flow.processed()
        switch exchange.phase {
        case .forwarding, .waiting:
            if exchange.account.requestMessages.largest > exchange.requestMessageBytesMax {
                return refuseMessage(exchange)
            }
            if exchange.request.body.total > RetryPolicy.bufferBytesMin { limitKept(exchange) }
            if exchange.isToBeMirrored { mirrorIfWhole(exchange) }
            if exchange.phase == .forwarding { resumeRequest(exchange) }
        case .receiving: if exchange.request.flow.hasHeaders { begin(exchange) }
        case .deciding:
            if case .health(let terms) = exchange.route?.use({ $0.action }) {
                checkHealth(exchange, terms)
            }
        case .answering, .over: exchange.request.discard(returning: workspace.segments)
        }
    }

    private func resumeRequest(_ exchange: Exchange) {
        if exchange.request.flow.isDiscarding { return }
        if exchange.others == nil { return exchange.attempt.use { resume($0, exchange) } }
        exchange.forEachAttempt { resume($0, exchange) }
    }

    @inline(always)
    private func resume(_ attempt: Attempt, _ exchange: Exchange) {
        guard attempt.state == .streaming else { return }
        let available = exchange.request.body.unread(from: attempt.cursor)
        let action = attempt.sink.advance(exchange.request.flow, available: available)
        guard action == .resume else { return }
        attempt.upstream.connection?.use {
            $0.session.resume(attempt.upstream.streamID)
            $0.markDirty(workspace)
        }
    }

    // MARK: Validated, armed

    /// The header block is whole.
    private func begin(_ exchange: Exchange) {
        guard let connection = exchange.downstream.connection else { return }
        workspace.counters.requestBegan()
        let generation = connection.use { $0.listener.borrowedGeneration }
        exchange.generation = generation
        exchange.listenerPosition = connection.use { $0.listener.position }
        generation.use { $0.users += 1 }
        exchange.phase = .deciding
        exchange.progressAt = workspace.now
        exchange.timer = workspace.timers.schedule(
            .exchange(Borrowed(exchange)), at: nextDeadline(exchange))
        let verdict = connection.use { connection in
            connection.listener.borrowedTerms.use { terms in
                if terms.intake.requestID != .pass { identify(exchange, terms.intake.requestID) }
                return RequestCheck.check(exchange, terms, workspace.hop)
            }
        }
        switch verdict {
        case .refused(let error):
            countLimit(of: exchange)
            if error.kind == .loop { warnOfLoop(connection) }
            answer(exchange, error)
        case .fine(let serviceEnd):
            exchange.pathServiceEnd = serviceEnd
            if connection.use({ $0.hasIdentityEnded }) {
                let words = "the client's identity has ended"
                return answer(exchange, ProxyError(.identityEnded, .downstream, words))
            }
            if refusesRequests, isRefusedByOverload(exchange) { return }
            guard armDeadline(exchange) else { return }
            if generation.use({ $0.hasRateLimits }), isOverFirstLimit(exchange, generation) {
                return
            }
            decide(exchange)
        }
    }

    private func warnOfLoop(_ connection: Borrowed<DownstreamConnection>) {
        connection.use { warnRarely("a request came back in a forwarding loop \($0.describe())") }
    }

    private func countLimit(of exchange: Exchange) {
        let limit: Limit
        switch exchange.head.fault {
        case .headerList: limit = .headerList
        case .headerFields: limit = .headerFields
        case .path: limit = .path
        default: return
        }
        exchange.downstream.connection?.use { $0.tripped(limit, self) }
    }

    /// The caller's own deadline runs from its HEADERS, not from the request's end. False where the
    /// exchange was answered.
    private func armDeadline(_ exchange: Exchange) -> Bool {
        if let value = exchange.request.headers.value(at: exchange.head.grpcTimeout),
            exchange.isGRPC
        {
            guard let timeout = value.use(GRPCTimeout.parse) else {
                answer(exchange, ProxyError(.badTimeout, .downstream, "grpc-timeout is malformed"))
                return false
            }
            let (deadline, overflow) = exchange.startedAt.addingReportingOverflow(timeout)
            exchange.deadline = overflow ? .max : max(deadline, 1)
            if timeout == 0 {
                deadlinePassed(exchange)
                return false
            }
        }
        return true
    }

    // MARK: Decided

    /// Access, then the route: a denied caller never learns whether there is one. May be called
    /// again for an exchange that is still `deciding`: nothing of the request is consumed
    /// meanwhile.
    func decide(_ exchange: Exchange) {
        guard let generation = exchange.generation else { return }
        let token = generation.use { $0.hasIssuers ? findToken(exchange, $0) : .none }
        if case .suspended = token { return }
        if let error = accessRefusal(exchange, generation, token) {
            return answer(exchange, error)
        }
        let hasLimits = generation.use { $0.hasRateLimits }
        if hasLimits, isOverIdentityLimit(exchange, generation, token) { return }
        guard settleToken(exchange, token) else {
            return answer(exchange, ProxyError(.refused, .weir, "out of memory"))
        }
        guard let match = match(exchange), let route = route(match, generation) else {
            return answer(exchange, ProxyError(.noRoute, .downstream, "no route matches"))
        }
        exchange.route = route
        seriesBegan(exchange, match, route)
        if hasLimits, isOverRouteLimit(exchange, generation, token) { return }
        if hasLimits, waitsForLimitService(exchange, generation, token) { return }
        if case .valid(let entry) = token {
            tokens.deciding = entry
            defer { tokens.deciding = nil }
            return route.use { follow($0, exchange) }
        }
        route.use { follow($0, exchange) }
    }

    func follow(_ route: Route, _ exchange: Exchange) {
        if route.timeout > 0 {
            let deadline = exchange.startedAt &+ route.timeout
            exchange.deadline = exchange.deadline == 0 ? deadline : min(exchange.deadline, deadline)
        }
        if exchange.deadline > 0 || route.idleTimeout > 0 {
            workspace.timers.move(exchange.timer, to: nextDeadline(exchange))
        }
        if route.isGRPCOnly, !exchange.isGRPC { return refuseContentType(exchange) }
        if route.hasFaults, !passesFaults(exchange, route) { return }
        proceed(route, exchange)
    }

    /// Nothing is in its way any more.
    func proceed(_ route: Route, _ exchange: Exchange) {
        if route.messages != .none, exchange.isGRPC {
            exchange.requestMessageBytesMax = route.messages.requestBytes
            exchange.attempt.use { $0.messageBytesMax = route.messages.responseBytes }
            if exchange.account.requestMessages.largest > exchange.requestMessageBytesMax {
                return refuseMessage(exchange)
            }
        }
        if route.soleUpstream >= 0 { return send(exchange, to: route.soleUpstream) }
        switch route.action {
        case .forward(let backends):
            let upstream = backends.pick(workspace.system.random())
            guard let mirror = route.mirror else { return send(exchange, to: upstream) }
            sendMirrored(exchange, to: upstream, mirror)
        case .respond(let response): respond(exchange, response)
        case .redirect(let redirect): respond(exchange, redirect)
        case .health(let terms): checkHealth(exchange, terms)
        }
    }

    /// A message's prefix says that it is larger than the route allows.
    private func refuseMessage(_ exchange: Exchange) {
        exchange.downstream.connection?.use { $0.tripped(.requestMessage, self) }
        let words =
            "a message of \(exchange.account.requestMessages.largest) bytes, which is more than "
            + "the \(exchange.requestMessageBytesMax) of the route's limit"
        fail(
            exchange, ProxyError(.messageTooLarge, .downstream, words, limit: .requestMessage))
    }

    private func refuseContentType(_ exchange: Exchange) {
        let words = "only application/grpc is served here"
        answer(exchange, ProxyError(.wrongContentType, .downstream, words))
    }

    func match(_ exchange: Exchange) -> RouteTable.Match? {
        let head = exchange.head
        let headers = exchange.request.headers
        guard let connection = exchange.downstream.connection,
            let authority = headers.value(at: head.authority) ?? headers.value(at: head.host),
            let method = headers.value(at: head.method), let path = headers.value(at: head.path)
        else { return nil }
        return connection.use { connection in
            authority.use { authority in
                method.use { method in
                    path.use { path in
                        connection.listener.borrowedTerms.use {
                            $0.routes.match(
                                authority: authority, httpMethod: method, path: path,
                                fields: RequestFieldsView(headers: headers))
                        }
                    }
                }
            }
        }
    }

    func route(
        _ match: RouteTable.Match, _ generation: Borrowed<Generation>
    ) -> Borrowed<Route>? {
        generation.use { generation in
            let routes = generation.snapshot.routes
            return match.route < routes.count ? Borrowed(routes[match.route]) : nil
        }
    }

    // MARK: Sent

    func send(_ exchange: Exchange, to upstream: Int) {
        guard let pool = exchange.generation?.use({ $0.borrowedPools[upstream] }) else { return }
        pool.use { pool in
            if pool.terms.isGRPCOnly, !exchange.isGRPC { return refuseContentType(exchange) }
            if pool.attachesToken, !pool.hasToken(at: workspace.system.unixTime()) {
                let words = "there is no token for upstream \(pool.name)"
                return answer(exchange, ProxyError(.refused, .weir, words))
            }
            mark(exchange)
            // What came with its HEADERS may be more than is kept already.
            if exchange.request.body.total > RetryPolicy.bufferBytesMin { limitKept(exchange) }
            if exchange.route?.use({ $0.retry != nil }) == true {
                pool.retryableCallBegan(now: workspace.now)
            }
            if pool.isByHash {
                exchange.affinity = affinity(
                    of: exchange, by: pool.terms.balance.hash, tokens.deciding)
            }
            exchange.attempt.use { attempt in
                attempt.pool = Borrowed(pool)
                place(attempt, in: pool)
            }
        }
    }

    /// Makes the request known again, should it come back.
    @inline(always)
    private func mark(_ exchange: Exchange) {
        let refusesLoops = exchange.downstream.connection?.use { connection in
            connection.listener.borrowedTerms.use { $0.intake.refusesLoops }
        }
        guard refusesLoops == true else { return }
        let value = workspace.hop.use { $0.value }
        workspace.borrowedBlocks.use { blocks in
            _ = exchange.request.headers.append(
                ByteView("via"), value, in: &exchange.arena, from: blocks)
        }
    }

    func place(_ attempt: Attempt, in pool: UpstreamPool) {
        switch pool.place(attempt, self) {
        case .ready(let connection): connection.use { begin(attempt, on: $0) }
        case .wait:
            attempt.exchange.use { if !$0.hasStreamingAttempt { $0.phase = .waiting } }
            pool.wait(attempt, self)
        case .refused(let error): attemptFailed(attempt, error)
        }
    }

    /// A waiting attempt cannot be sent any more.
    func refuse(_ attempt: Attempt, _ error: ProxyError) { attemptFailed(attempt, error) }

    /// Gives an attempt a stream. `connection` has room.
    func begin(_ attempt: Attempt, on connection: UpstreamConnection) {
        attempt.exchange.use { exchange in
            if exchange.deadline > 0, workspace.now >= exchange.deadline {
                return deadlinePassed(exchange)
            }
            let available = exchange.request.body.unread(from: attempt.cursor)
            let action = attempt.sink.advance(exchange.request.flow, available: available)
            timesBegan(exchange)
            guard let headers = requestHeaders(exchange, attempt),
                let streamID = connection.session.submitRequest(
                    attempt, headers, hasBody: action == .submitHeaders)
            else {
                let words = "the server's connection takes no more streams"
                return attemptFailed(attempt, ProxyError(.refused, .upstream, words), .dropped)
            }
            exchange.phase = .forwarding
            exchange.streams &+= 1
            attempt.state = .streaming
            attempt.pool?.use { $0.requestBegan() }
            connection.attach(attempt, streamID, workspace)
            connection.markDirty(workspace)
            accountSent(attempt, exchange, on: connection)
            hurryTimer(exchange, connection.stalledWriter)
        }
    }

    /// The timer was set before the upstream was known, which may have less patience.
    private func hurryTimer(_ exchange: Exchange, _ stalledWriter: Int64) {
        let patience = exchange.downstream.connection?.use {
            $0.listener.terms.timeouts.stalledWriter
        }
        guard stalledWriter > 0, let patience, patience == 0 || stalledWriter < patience,
            exchange.timer.isScheduled
        else { return }
        let next = min(nextDeadline(exchange), workspace.now + stalledWriter)
        workspace.timers.move(exchange.timer, to: next)
    }

    /// Gives up an attempt: takes it out of the queue, or resets its stream.
    func abandon(_ attempt: Attempt) {
        switch attempt.state {
        case .idle, .abandoned, .closed: return
        case .pending: attempt.pool?.use { $0.gaveUp(attempt, self) }
        case .streaming:
            attempt.state = .abandoned
            attempt.upstream.connection?.use { $0.cancel(attempt.upstream.streamID, workspace) }
        }
    }

    // MARK: Time

    /// When the exchange's timer has to look again.
    func nextDeadline(_ exchange: Exchange) -> Int64 {
        var next = exchange.deadline > 0 ? exchange.deadline : .max
        if exchange.decideBy > 0 { next = min(next, exchange.decideBy) }
        next = min(next, exchange.times.next)
        if let idle = exchange.route?.use({ $0.idleTimeout }), idle > 0 {
            next = min(next, exchange.progressAt &+ idle)
        }
        let timeouts = exchange.downstream.connection?.use { $0.listener.terms.timeouts }
        guard let timeouts else { return next }
        let stalled = stalledTimeout(exchange, timeouts)
        if stalled > 0 { next = min(next, stalledSince(exchange) &+ stalled) }
        if timeouts.bodyIdle > 0, !exchange.isGRPC, !exchange.request.flow.isEnded {
            next = min(next, bodyIdleSince(exchange) &+ timeouts.bodyIdle)
        }
        return next
    }

    /// The client's time to take bytes, or the server's where that is shorter; 0 is for ever.
    private func stalledTimeout(_ exchange: Exchange, _ timeouts: DownstreamTimeouts) -> Int64 {
        let pool = exchange.attempt.use { $0.pool }
        let upstream = pool?.use { $0.terms.timeouts.stalledWriter } ?? 0
        if upstream == 0 || !exchange.hasUnread { return timeouts.stalledWriter }
        return timeouts.stalledWriter == 0 ? upstream : min(upstream, timeouts.stalledWriter)
    }

    /// Since when bytes wait that nobody takes; now where none wait.
    private func stalledSince(_ exchange: Exchange) -> Int64 {
        var since = workspace.now
        if exchange.hasUnread {
            since = min(since, max(exchange.progressAt, exchange.request.waitingSince))
        }
        exchange.attempt.use { attempt in
            guard attempt.response.body.count > 0 else { return }
            since = min(since, max(exchange.progressAt, attempt.response.waitingSince))
        }
        return since
    }

    /// Since when the client owes bytes; now where it is not its turn.
    private func bodyIdleSince(_ exchange: Exchange) -> Int64 {
        guard !exchange.hasUnread else { return workspace.now }
        return max(exchange.startedAt, exchange.request.receivedAt, exchange.progressAt)
    }

    /// The wheel has dropped the exchange's timer.
    func exchangeTimerFired(_ exchange: Exchange) {
        exchange.timer = .none
        let now = workspace.now
        if exchange.phase == .over { return abandonAttempts(exchange) }
        if exchange.deadline > 0, now >= exchange.deadline { return deadlinePassed(exchange) }
        if now >= exchange.times.next {
            attemptTimePassed(exchange)
            guard exchange.isForwarded else { return }
        }
        if let error = lateness(exchange, now) {
            if let limit = error.limit {
                exchange.downstream.connection?.use { $0.tripped(limit, self) }
            }
            return fail(exchange, error)
        }
        let isDecisionDue = exchange.decideBy > 0 && now >= exchange.decideBy
        if isDecisionDue { exchange.decideBy = 0 }
        var next = max(nextDeadline(exchange), now + 1_000_000)
        if let pool = exchange.attempt.use({ $0.pool }) {
            let stalledWriter = pool.use { $0.terms.timeouts.stalledWriter }
            if stalledWriter > 0 { next = min(next, now + stalledWriter) }
        }
        exchange.timer = workspace.timers.schedule(.exchange(Borrowed(exchange)), at: next)
        if isDecisionDue, exchange.waitsForKeys { keysWaitEnded(exchange) }
        if isDecisionDue, exchange.isDelayed { delayEnded(exchange) }
    }

    private func lateness(_ exchange: Exchange, _ now: Int64) -> ProxyError? {
        if let idle = exchange.route?.use({ $0.idleTimeout }), idle > 0,
            now >= exchange.progressAt &+ idle
        {
            return ProxyError(
                .routeIdle, .weir, "nothing passed for too long", limit: .routeIdle)
        }
        let timeouts = exchange.downstream.connection?.use { $0.listener.terms.timeouts }
        guard let timeouts else { return nil }
        let stalled = stalledTimeout(exchange, timeouts)
        if stalled > 0, now >= stalledSince(exchange) &+ stalled {
            let isServers = exchange.hasUnread
            let words = "bytes waited too long for the \(isServers ? "server" : "client")"
            let side: ProxyError.Side = isServers ? .upstream : .downstream
            return ProxyError(.stalled, side, words, limit: .stalledWriter)
        }
        if timeouts.bodyIdle > 0, !exchange.isGRPC, !exchange.request.flow.isEnded,
            now >= bodyIdleSince(exchange) &+ timeouts.bodyIdle
        {
            let words = "the request's body did not come in time"
            return ProxyError(.bodyIdle, .downstream, words, limit: .bodyIdle)
        }
        return nil
    }

    func deadlinePassed(_ exchange: Exchange) {
        if !exchange.isOwn { workspace.counters.add(.deadlinesExceeded) }
        fail(exchange, ProxyError(.deadlineExceeded, .weir, "deadline exceeded"))
    }
}
