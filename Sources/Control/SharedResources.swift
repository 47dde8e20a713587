internal import Configuration
internal import Proxy
internal import Rules
internal import Wire

/// What survives reloads in the whole process: listening sockets by address, an upstream's counts
/// by name, rate limits' buckets by name and key, TLS by what it is made from.
struct SharedResources {
    enum Failure: Error, CustomStringConvertible {
        case listening(ListenError)
        /// OpenSSL refuses what was found to be right, or memory ran out.
        case tls(name: String)

        var description: String {
            switch self {
            case .listening(let error): "\(error)"
            case .tls(let name): "TLS of '\(name)' could not be made ready"
            }
        }
    }

    private let inherited: InheritedSockets
    private var sockets: [SocketAddress: ListeningSocket] = [:]
    private var counts: [String: UpstreamCounts] = [:]
    private var buckets: [String: (limit: RateLimit, table: BucketTable)] = [:]
    private var servers: [[UInt8]: ServerTLS] = [:]
    private var clients: [[UInt8]: ClientTLS] = [:]
    private let tickets = TicketKeys()

    init(_ inherited: InheritedSockets) { self.inherited = inherited }

    /// The listeners' sockets by their addresses.
    var listening: [(address: SocketAddress, socket: ListeningSocket)] {
        sockets.map { ($0.key, $0.value) }
    }

    /// Opens what the snapshot needs and is not open. Where an address cannot be listened on
    /// nothing changes; what is not needed any more is closed when the last worker has let it go.
    mutating func installation(of snapshot: Snapshot) throws(Failure) -> Installation {
        let tls = try makeTLS(of: snapshot)
        var nextSockets: [SocketAddress: ListeningSocket] = [:]
        for listener in snapshot.listeners {
            let address = listener.address
            if let socket = sockets[address] {
                nextSockets[address] = socket
            } else {
                do { nextSockets[address] = try inherited.listen(on: address) } catch {
                    throw .listening(error)
                }
            }
        }
        var nextCounts: [String: UpstreamCounts] = [:]
        for upstream in snapshot.upstreams {
            nextCounts[upstream.name] = counts[upstream.name] ?? UpstreamCounts()
        }
        keepBuckets(of: snapshot.rateLimits)
        sockets = nextSockets
        counts = nextCounts
        return Installation(
            snapshot, sockets: snapshot.listeners.compactMap { nextSockets[$0.address] },
            counts: snapshot.upstreams.compactMap { nextCounts[$0.name] }, tls: tls,
            buckets: snapshot.rateLimits.compactMap { buckets[$0.name]?.table })
    }

    /// Those that mean the same callers stay, with what was taken from them.
    private mutating func keepBuckets(of limits: [RateLimit]) {
        var next: [String: (limit: RateLimit, table: BucketTable)] = [:]
        for limit in limits {
            let known = buckets[limit.name].flatMap { entry in
                entry.limit.hasSameKeys(as: limit) ? entry.table : nil
            }
            next[limit.name] = (limit, known ?? BucketTable(keys: limit.keys))
        }
        buckets = next
    }

    /// Those whose terms mean the same as before are the same, sessions that they gave included.
    private mutating func makeTLS(of snapshot: Snapshot) throws(Failure) -> Installation.TLS {
        var nextServers: [[UInt8]: ServerTLS] = [:]
        var nextClients: [[UInt8]: ClientTLS] = [:]
        var tls = Installation.TLS(servers: [], clients: [])
        for listener in snapshot.listeners {
            guard let terms = listener.tls else {
                tls.servers.append(nil)
                continue
            }
            let digest = terms.digest
            let known = nextServers[digest] ?? servers[digest] ?? ServerTLS(terms, tickets)
            guard let known else { throw .tls(name: listener.name) }
            nextServers[digest] = known
            tls.servers.append(known)
        }
        for upstream in snapshot.upstreams {
            guard let terms = upstream.tls else {
                tls.clients.append(nil)
                continue
            }
            let digest = terms.digest
            let known = nextClients[digest] ?? clients[digest] ?? ClientTLS(terms)
            guard let known else { throw .tls(name: upstream.name) }
            nextClients[digest] = known
            tls.clients.append(known)
        }
        servers = nextServers
        clients = nextClients
        return tls
    }
}
