internal import Configuration
internal import Rules
internal import Wire

/// `grpc.health.v1.Health`, answered by Weir itself where a route says `health`.
extension Worker {
    /// Watches that one worker keeps open.
    static let watchesMax = 1_000
    private static let lookNanoseconds: Int64 = 1_000_000_000

    /// A watch, and what it was told last.
    struct Watch {
        let exchange: Borrowed<Exchange>
        let service: [UInt8]
        var status: HealthMessage.Status
    }

    /// The route is found, or more of the request came: answers once all of it is there.
    func checkHealth(_ exchange: Exchange, _ terms: HealthTerms) {
        let count = exchange.request.body.count
        guard count <= HealthMessage.requestBytesMax else {
            return refuseHealth(exchange, .resourceExhausted, "the request is too large")
        }
        // What else comes is looked at by `requestProgressed`.
        guard exchange.request.flow.isEnded else { return }
        let path = exchange.request.headers.value(at: exchange.head.path)
        guard let method = path?.use({ HealthMessage.Method(path: $0) }) else {
            return refuseHealth(exchange, .unimplemented, "there are Check and Watch")
        }
        let body = exchange.request.body.bytes
        if HealthMessage.isCompressed(body) {
            return refuseHealth(exchange, .unimplemented, "compressed messages are not read here")
        }
        guard let service = HealthMessage.service(body) else {
            return refuseHealth(exchange, .invalidArgument, "this is no health check's request")
        }
        let status = health(of: service, terms, exchange.generation)
        switch method {
        case .check:
            if status == .serviceUnknown {
                return refuseHealth(exchange, .notFound, "no such service is watched here")
            }
            respondHealth(exchange, status, ends: true)
        case .watch:
            guard watches.count < Self.watchesMax else {
                return refuseHealth(exchange, .resourceExhausted, "too many watches")
            }
            respondHealth(exchange, status, ends: false)
            if isDraining { return endWatch(exchange) }
            exchange.isWatching = true
            let watch = Watch(exchange: Borrowed(exchange), service: service, status: status)
            watches.append(watch)
            scheduleLook()
        }
    }

    private func refuseHealth(_ exchange: Exchange, _ status: GRPCStatus, _ words: String) {
        let response = DirectResponse(
            status: 200, contentType: [], body: [], grpcStatus: status.rawValue, message: words)
        respond(exchange, response)
    }

    // MARK: What is healthy

    /// The process itself serves unless it drains; an upstream where a server can be reached, as
    /// far as this worker knows.
    private func health(
        of service: [UInt8], _ terms: HealthTerms, _ generation: Borrowed<Generation>?
    ) -> HealthMessage.Status {
        let known = terms.services.first { $0.name == service }
        if known == nil, !service.isEmpty { return .serviceUnknown }
        if isDraining { return .notServing }
        guard let upstream = known?.upstream,
            let pool = generation?.use({ $0.borrowedPools[upstream] })
        else { return .serving }
        return pool.use { $0.isReachable(self) } ? .serving : .notServing
    }

    // MARK: Watches

    private func scheduleLook() {
        guard !watches.isEmpty, !healthTimer.isScheduled else { return }
        let at = workspace.now + Self.lookNanoseconds
        healthTimer = workspace.timers.schedule(.health, at: at)
    }

    /// Once a second while there are watches.
    func lookAtHealth() {
        for index in watches.indices {
            let watch = watches[index]
            watch.exchange.use { exchange in
                let status = watchedHealth(of: watch.service, exchange)
                // A client that does not read is told the latest once it does.
                let isRead = exchange.attempt.use { $0.response.body.count == 0 }
                guard status != watch.status, isRead else { return }
                watches[index].status = status
                tell(status, exchange)
            }
        }
        scheduleLook()
    }

    /// By the listener's terms of today: since the watch began, a reload may have brought its
    /// service, or taken it away.
    private func watchedHealth(
        of service: [UInt8], _ exchange: Exchange
    ) -> HealthMessage.Status {
        let today = exchange.downstream.connection?.use { $0.listener.borrowedGeneration }
        guard let today else { return .serviceUnknown }
        var route = exchange.route
        if today != exchange.generation {
            route = match(exchange).flatMap { self.route($0, today) }
        }
        guard case .health(let terms) = route?.use({ $0.action }) else { return .serviceUnknown }
        return health(of: service, terms, today)
    }

    /// Tells all watches that the process ends, and ends them: a drain waits for streams.
    func endWatches() {
        let ending = watches
        for watch in ending {
            watch.exchange.use { exchange in
                tell(.notServing, exchange)
                endWatch(exchange)
            }
        }
    }

    /// The watch's stream has ended, or is about to.
    func unwatch(_ exchange: Exchange) {
        exchange.isWatching = false
        watches.removeAll { $0.exchange == Borrowed(exchange) }
        if watches.isEmpty { workspace.timers.cancel(&healthTimer) }
    }
}
