internal import Rules

/// Endpoints by what requests carry.
extension UpstreamPool {
    /// How many places of the table are looked at: enough to meet all of a few hundred endpoints.
    private static let stepsMax = 1_024

    /// The connection of the endpoint that the attempt's hash belongs to, or of the next on its way
    /// through the table that can take it. Nil where there is none, and where that endpoint's
    /// connection is on its way: it is waited for, or the first requests would all go elsewhere.
    func chooseByHash(_ attempt: Attempt, _ worker: Worker) -> Borrowed<UpstreamConnection>? {
        let (tried, known) = attempt.exchange.use { ($0.tried, $0.affinity.hash) }
        let table = balancer.table
        guard table.count > 0 else { return nil }
        var position = table.start(known ?? balancer.draws.next())
        // Of the first 64 endpoints.
        var seen: UInt64 = 0
        var met = 0
        var second: Borrowed<UpstreamConnection>?
        for _ in 0..<min(table.count, Self.stepsMax) {
            let index = table.owner(at: position)
            position = table.next(position)
            if index < 64 {
                if seen & 1 &<< UInt64(index) != 0 { continue }
                seen |= 1 &<< UInt64(index)
            }
            if met == balancer.owners.count { break }
            met &+= 1
            let endpoint = balancer.owners[index]
            guard endpoint.use({ $0.isAvailable }) || balancer.isPanicking else {
                if !balancer.isPartial { balancer.outdate() }
                continue
            }
            guard let connection = endpoint.use({ $0.connectionWithRoom }) else {
                if isComing(endpoint, worker) { return second }
                continue
            }
            if endpoint.use({ !tried.contains($0.id) && balancer.allows($0, total: inFlight) }) {
                return connection
            }
            if second == nil { second = connection }
        }
        return second
    }

    /// Whether an endpoint without room has a connection on its way that may be hoped for.
    private func isComing(_ endpoint: Borrowed<Endpoint>, _ worker: Worker) -> Bool {
        endpoint.use { endpoint in
            if endpoint.needsConnection { connect(to: endpoint, worker) }
            return endpoint.awaited > 0 && endpoint.established == 0 && !endpoint.hasFailed
        }
    }
}
