internal import Configuration
internal import Rules

/// Which endpoint an attempt goes to.
extension UpstreamPool {
    /// The connection that an attempt is sent on, of the first endpoint from the balancer's choice
    /// on that has one with room, and where there is such a one was not tried before. Endpoints
    /// that have none are connected to meanwhile.
    func pick(_ attempt: Attempt, _ worker: Worker) -> Borrowed<UpstreamConnection>? {
        if let connection = takeTurn(attempt) { return connection }
        let now = worker.workspace.now
        if balancer.isOutdated(now: now) { look(worker) }
        if watch.isProbeDue(now: now), let connection = probe(attempt, worker) {
            return connection
        }
        if let connection = choose(attempt, worker) { return connection }
        // One that was thought to be available is not.
        guard balancer.isOutdated(now: now) else { return nil }
        look(worker)
        return choose(attempt, worker)
    }

    /// The next endpoint's connection, where endpoints simply take turns and nothing is in the way
    /// of it: what nearly all requests need.
    @inline(always)
    private func takeTurn(_ attempt: Attempt) -> Borrowed<UpstreamConnection>? {
        let count = turns.count
        guard count > 0, attempt.exchange.use({ $0.tried.isEmpty }) else { return nil }
        let index = picking.next
        let found = turns[index].use { $0.isAvailable ? $0.connectionWithRoom : nil }
        guard let found else { return nil }
        picking.next = index &+ 1 == count ? 0 : index &+ 1
        return found
    }

    @inline(always)
    private func choose(_ attempt: Attempt, _ worker: Worker) -> Borrowed<UpstreamConnection>? {
        if balancer.terms.isByHash { return chooseByHash(attempt, worker) }
        let tried = attempt.exchange.use { $0.tried }
        let isAway = balancer.leaves()
        if let connection = choose(tried, isAway: isAway, worker) { return connection }
        return balancer.away.isEmpty ? nil : choose(tried, isAway: !isAway, worker)
    }

    private func choose(
        _ tried: TriedEndpoints, isAway: Bool, _ worker: Worker
    ) -> Borrowed<UpstreamConnection>? {
        let count = isAway ? balancer.away.candidates.count : balancer.home.candidates.count
        let first = start(isAway: isAway, worker)
        var start = first
        var second: (connection: Borrowed<UpstreamConnection>, index: Int)?
        for offset in 0..<balancer.looks(of: count) {
            if offset == 1 { start = balancer.restart(after: first, of: count) }
            var index = start &+ offset
            if index >= count { index &-= count }
            let endpoint = candidate(index, isAway: isAway)
            guard endpoint.use({ $0.isAvailable }) || balancer.isPanicking else {
                balancer.outdate()
                continue
            }
            guard let connection = endpoint.use({ $0.connectionWithRoom }) else {
                endpoint.use { if $0.needsConnection { connect(to: $0, worker) } }
                continue
            }
            if tried.isEmpty || !endpoint.use({ tried.contains($0.id) }) {
                balancer.took(index, isAway: isAway)
                return connection
            }
            if second == nil { second = (connection, index) }
        }
        guard let second else { return nil }
        balancer.took(second.index, isAway: isAway)
        return second.connection
    }

    @inline(always)
    private func candidate(_ index: Int, isAway: Bool) -> Borrowed<Endpoint> {
        isAway ? balancer.away.candidates[index] : balancer.home.candidates[index]
    }

    /// Where to look first.
    @inline(always)
    private func start(isAway: Bool, _ worker: Worker) -> Int {
        if balancer.terms.algorithm == .roundRobin { return balancer.turn(isAway: isAway) }
        var draws = balancer.draws
        defer { balancer.draws = draws }
        let choice = isAway ? balancer.away.choice : balancer.home.choice
        guard balancer.terms.algorithm != .random else { return choice.draw(&draws) }
        return choice.least(&draws) { load(of: candidate($0, isAway: isAway), worker) }
    }

    /// How much an endpoint has to do, in its algorithm's measure; infinite where it can take
    /// nothing.
    private func load(of endpoint: Borrowed<Endpoint>, _ worker: Worker) -> Double {
        endpoint.use { endpoint in
            guard endpoint.connectionWithRoom != nil else {
                if endpoint.needsConnection { connect(to: endpoint, worker) }
                return .infinity
            }
            let inFlight = endpoint.inFlight
            guard measuresLatency else { return Double(inFlight) }
            let terms = balancer.terms.latency
            let now = worker.workspace.now
            let latency = endpoint.latency ?? LatencyEstimate(terms, now: now)
            return latency.cost(inFlight: inFlight, now: now, terms)
        }
    }

    /// A connection to an endpoint that is to get nothing: better than to refuse where no other can
    /// be had.
    func lastResort() -> Borrowed<UpstreamConnection>? {
        guard balancer.isPartial, !balancer.isPanicking else { return nil }
        for endpoint in endpoints where !endpoint.isAvailable {
            if let connection = endpoint.connectionWithRoom { return connection }
        }
        return nil
    }

    /// True where waiting makes sense: a connection is on its way, or one is full and will not stay
    /// so. More are begun where those on their way cannot take all that wait.
    func isAnyAwaitedOrFull(_ worker: Worker) -> Bool {
        var awaited = 0
        var established = 0
        forEachCandidate {
            awaited += $0.awaited
            established += $0.established
        }
        // A server that has not said how many streams it takes is taken to take 100.
        if waitingCount >= awaited * 100 {
            forEachCandidate { if $0.needsConnection { connect(to: $0, worker) } }
        }
        if awaited > 0 || established > 0 { return true }
        forEachCandidate { awaited += $0.awaited }
        return awaited > 0
    }

    private func forEachCandidate(_ body: (Endpoint) -> Void) {
        for endpoint in balancer.home.candidates { endpoint.use(body) }
        for endpoint in balancer.away.candidates { endpoint.use(body) }
    }
}
