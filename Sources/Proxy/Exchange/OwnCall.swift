internal import Wire

/// A call that Weir itself makes: an exchange without a client, placed, balanced and timed like any
/// other, whose response is collected here instead of being passed on.
///
///     Worker.call -> (the exchange's own way) -> endOwn -> the owner is told -> given back
///
/// Its owner is told of its end once, and never before `call` has returned: an owner may begin the
/// next call from there.
struct OwnCall {
    /// Who is told.
    enum Owner {
        case check(Borrowed<EndpointCheck>)
        /// Its second call, which lasts.
        case watch(Borrowed<EndpointCheck>)
        /// An exchange that waits for a rate limit service.
        case limit(Borrowed<Exchange>)
        /// A copy of somebody's request, whose answer nobody sees.
        case mirror(MirrorPlace)
    }

    /// What becomes of the response's body. No more than `bytesMax` is ever held.
    enum Collection {
        case whole(bytesMax: Int)
        /// Of gRPC, each told as soon as it is whole.
        case messages(bytesMax: Int)
        case nothing
        /// The same, and the call fails where there is more.
        case limited(bytesMax: Int64)
    }

    let owner: Owner
    let collection: Collection
    fileprivate(set) var body: [UInt8] = []
    fileprivate var end: End?

    init(_ owner: Owner, _ collection: Collection) {
        self.owner = owner
        self.collection = collection
    }

    fileprivate var keepsBody: Bool {
        switch collection {
        case .whole, .messages: true
        case .nothing, .limited: false
        }
    }

    /// What no server has processed is tried again, as for clients.
    var isRepeatable: Bool { if case .mirror = owner { false } else { true } }

    /// What is asked.
    struct Request {
        var method: StaticString = "POST"
        var path: [UInt8]
        var authority: [UInt8]
        /// With `content-type: application/grpc`, and a deadline that the server is told.
        var isGRPC = false
        var fields: [(name: StaticString, value: [UInt8])] = []
        /// All of it.
        var body: [UInt8] = []
        /// For all of the call, in nanoseconds; 0 is for ever.
        var timeout: Int64 = 0

        init(path: [UInt8], authority: [UInt8]) {
            self.path = path
            self.authority = authority
        }
    }

    /// What came of it.
    struct End {
        /// Nil where a whole response came.
        var error: ProxyError?
        var status: UInt16 = 0
        /// `ExchangeAccount.noStatus` where there was none.
        var grpcStatus = ExchangeAccount.noStatus
        var body: [UInt8] = []
    }
}

extension Worker {
    // MARK: Beginning

    /// Begins a call to an upstream. The pool outlives it.
    func call(
        _ request: OwnCall.Request, _ pool: UpstreamPool, _ own: OwnCall
    ) -> Borrowed<Exchange> {
        let deadline = request.timeout > 0 ? workspace.now &+ request.timeout : 0
        return call(own, pool, until: deadline) { fill($0, request) }
    }

    /// The same, of which `fill` makes the request; false is that memory ran out.
    @discardableResult
    func call(
        _ own: OwnCall, _ pool: UpstreamPool, until deadline: Int64, _ fill: (Exchange) -> Bool
    ) -> Borrowed<Exchange> {
        let borrowed = workspace.takeExchange()
        workspace.ownCallsBegan += 1
        borrowed.use { exchange in
            exchange.startedAt = workspace.now
            exchange.progressAt = workspace.now
            exchange.own = own
            exchange.isOwn = true
            exchange.phase = .deciding
            exchange.attempt.use { $0.pool = Borrowed(pool) }
            if deadline > 0 {
                exchange.deadline = deadline
                exchange.timer = workspace.timers.schedule(.exchange(borrowed), at: deadline)
            }
            guard fill(exchange) else {
                return answer(exchange, ProxyError(.refused, .weir, "out of memory"))
            }
            if pool.attachesToken, !pool.hasToken(at: workspace.system.unixTime()) {
                let words = "there is no token for upstream \(pool.name)"
                return answer(exchange, ProxyError(.refused, .weir, words))
            }
            exchange.attempt.use { place($0, in: pool) }
        }
        return borrowed
    }

    private func fill(_ exchange: Exchange, _ request: OwnCall.Request) -> Bool {
        var isWhole = append(":method", request.method, to: exchange)
        isWhole = append(":scheme", "http", to: exchange) && isWhole
        isWhole = append(":authority", request.authority, to: exchange) && isWhole
        isWhole = append(":path", request.path, to: exchange) && isWhole
        if request.isGRPC {
            exchange.head.isGRPC = true
            isWhole = append("te", "trailers", to: exchange) && isWhole
            isWhole = append("content-type", "application/grpc", to: exchange) && isWhole
        }
        for field in request.fields {
            isWhole = append(field.name, field.value, to: exchange) && isWhole
        }
        exchange.request.flow.headersReceived()
        if !request.body.isEmpty {
            exchange.request.append(own: request.body, workspace.segments, now: workspace.now)
        }
        exchange.request.flow.endReceived()
        return isWhole
    }

    private func append(
        _ name: StaticString, _ value: StaticString, to exchange: Exchange
    ) -> Bool { append(name, ByteView(value), to: exchange) }

    private func append(_ name: StaticString, _ value: [UInt8], to exchange: Exchange) -> Bool {
        guard let kept = exchange.arena.keep(value.span, from: workspace.blocks) else {
            return false
        }
        return append(name, kept, to: exchange)
    }

    private func append(_ name: StaticString, _ value: ByteView, to exchange: Exchange) -> Bool {
        let name = ByteView(name)
        exchange.head.noted(name.use(HeaderToken.of), at: exchange.request.headers.count)
        return exchange.request.headers.append(
            name, value, in: &exchange.arena, from: workspace.blocks)
    }

    // MARK: Collecting

    /// Something of its response came.
    func collect(_ exchange: Exchange, _ attempt: Attempt) {
        guard var own = exchange.own else { return }
        let count = attempt.response.body.count
        if count > 0 {
            if own.keepsBody { own.body += attempt.response.body.bytes }
            attempt.response.body.removeAll(returning: workspace.segments)
            attempt.responseBytesPassed(count, workspace)
        }
        exchange.own = own
        switch own.collection {
        case .nothing: break
        case .whole(let bytesMax): if own.body.count > bytesMax { return overflow(exchange) }
        case .limited(let bytesMax):
            if exchange.account.responseBytes > bytesMax { return overflow(exchange) }
        case .messages(let bytesMax): tellMessages(exchange, bytesMax)
        }
        guard exchange.phase != .over, attempt.response.flow.isEnded else { return }
        var end = OwnCall.End()
        end.status = attempt.status
        end.grpcStatus = attempt.grpcStatus
        end.body = exchange.own?.body ?? []
        endOwn(exchange, end)
    }

    private func overflow(_ exchange: Exchange) {
        fail(exchange, ProxyError(.badResponse, .upstream, "the response is too large"))
    }

    private func tellMessages(_ exchange: Exchange, _ bytesMax: Int) {
        let prefixBytes = 5
        while let own = exchange.own, exchange.phase != .over, own.body.count >= prefixBytes {
            let length = own.body[1..<prefixBytes].reduce(0) { $0 << 8 | Int($1) }
            guard length <= bytesMax else { return overflow(exchange) }
            guard own.body.count >= prefixBytes + length else { return }
            let message = Array(own.body.prefix(prefixBytes + length))
            exchange.own?.body.removeFirst(message.count)
            switch own.owner {
            case .check, .limit, .mirror: break
            case .watch(let check): check.use { $0.wasTold(message, self) }
            }
        }
    }

    // MARK: Ending

    func endOwn(_ exchange: Exchange, _ error: ProxyError) {
        var end = OwnCall.End()
        end.error = error
        endOwn(exchange, end)
    }

    private func endOwn(_ exchange: Exchange, _ end: OwnCall.End) {
        guard exchange.phase != .over else { return }
        exchange.own?.end = end
        exchange.phase = .over
        if end.error != nil { abandonAttempts(exchange) }
        workspace.timers.cancel(&exchange.timer)
        exchange.isHeld = true
        workspace.events.append(.ownCallEnded(Borrowed(exchange)))
    }

    /// Nobody needs it any more, and nobody is told.
    func cancel(_ call: Borrowed<Exchange>) {
        call.use { exchange in
            exchange.own = nil
            guard exchange.phase != .over else { return }
            exchange.phase = .over
            abandonAttempts(exchange)
            workspace.timers.cancel(&exchange.timer)
            if exchange.streams == 0 { workspace.give(exchange) }
        }
    }

    /// What was noted by `endOwn`.
    func ownCallEnded(_ exchange: Exchange) {
        let own = exchange.own
        exchange.isHeld = false
        exchange.letGenerationGo()
        if exchange.streams == 0 { workspace.give(exchange) }
        guard let own, let end = own.end else { return }
        switch own.owner {
        case .check(let check): check.use { $0.callEnded(end, self) }
        case .watch(let check): check.use { $0.watchEnded(end, self) }
        case .limit(let exchange): exchange.use { limitCallEnded($0, end) }
        case .mirror(let place): place.ended(isAnswered: end.error == nil)
        }
    }
}
