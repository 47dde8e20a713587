internal import Configuration
internal import Proxy
internal import Wire

/// What survives reloads in the whole process: listening sockets by address, an upstream's counts
/// by name.
struct SharedResources {
    private var sockets: [SocketAddress: ListeningSocket] = [:]
    private var counts: [String: UpstreamCounts] = [:]

    /// Opens what the snapshot needs and is not open. Where an address cannot be listened on
    /// nothing changes; what is not needed any more is closed when the last worker has let it go.
    mutating func installation(of snapshot: Snapshot) throws(ListenError) -> Installation {
        var nextSockets: [SocketAddress: ListeningSocket] = [:]
        for listener in snapshot.listeners {
            let address = listener.address
            if let socket = sockets[address] {
                nextSockets[address] = socket
            } else {
                nextSockets[address] = try Sockets.listen(on: address)
            }
        }
        var nextCounts: [String: UpstreamCounts] = [:]
        for upstream in snapshot.upstreams {
            nextCounts[upstream.name] = counts[upstream.name] ?? UpstreamCounts()
        }
        sockets = nextSockets
        counts = nextCounts
        return Installation(
            snapshot, sockets: snapshot.listeners.compactMap { nextSockets[$0.address] },
            counts: snapshot.upstreams.compactMap { nextCounts[$0.name] })
    }
}
