internal import Configuration
internal import Rules
public import Wire

/// One endpoint of an upstream as a worker sees it.
public struct EndpointFacts: Sendable {
    /// The upstream's name.
    public let upstream: String
    public let address: SocketAddress
    public let weight: UInt32
    public let zone: String?
    public let connections: Int
    /// Requests that its server works on for this worker.
    public let inFlight: Int
    /// What it is estimated to take, in nanoseconds; nil where that is not measured, or nothing has
    /// ended yet.
    public let latency: Int64?
}

extension Worker {
    /// Of all upstreams together no more than `limit`.
    func endpointFacts(limit: Int) -> [EndpointFacts] {
        var facts: [EndpointFacts] = []
        for pool in pools where !pool.isRetired {
            for endpoint in pool.endpoints.prefix(limit - facts.count) {
                let terms = pool.terms.balance.latency
                let latency = endpoint.latency?.value(now: workspace.now, terms)
                facts.append(
                    EndpointFacts(
                        upstream: pool.name, address: endpoint.address,
                        weight: endpoint.terms.weight, zone: endpoint.terms.zone,
                        connections: endpoint.connections.count, inFlight: endpoint.inFlight,
                        latency: latency.map { Int64($0) }))
            }
        }
        return facts
    }
}
