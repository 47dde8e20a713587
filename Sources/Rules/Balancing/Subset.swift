internal import Wire

/// Some of many endpoints (gRFC A68): a process that is one of hundreds need not connect to each of
/// hundreds. Every process has a seed of its own, so that all endpoints are in someone's subset; an
/// endpoint that comes or goes changes one place of it at most.
public enum Subset {
    /// `count` of the endpoints, in their order.
    public static func choose(
        _ count: Int, of endpoints: [EndpointTerms], seed: UInt64
    ) -> [EndpointTerms] {
        guard count > 0, count < endpoints.count else { return endpoints }
        let ranked = endpoints.indices.map { index in
            let address = Array("\(endpoints[index].address)".utf8)
            return (hash: XXH64.hash(address.span, seed: seed), index: index)
        }
        let chosen = ranked.sorted { ($0.hash, $0.index) < ($1.hash, $1.index) }.prefix(count)
        return chosen.map(\.index).sorted().map { endpoints[$0] }
    }
}
