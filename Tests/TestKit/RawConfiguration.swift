import Configuration
import Proxy
import Rules
import Wire

/// What the worker of a `RawExchange` is told: one upstream, and listeners on the ports from 8080
/// on, none with TLS.
public struct RawConfiguration: Sendable {
    struct Refused: Error {
        let words: String
    }

    let snapshot: Snapshot

    init(_ text: String) throws(Refused) {
        let sources = [Source(name: "raw.yaml", text: text)]
        let loaded = ConfigurationLoader.load(sources: sources, environment: [:])
        guard case .success(let snapshot, _) = loaded.outcome else {
            throw Refused(words: "\(loaded.outcome)")
        }
        self.snapshot = snapshot
    }

    static func address(ofListener index: Int) -> SocketAddress {
        .ipv4(address: 0x7F00_0001, port: 8_080 + UInt16(index))
    }

    func installation(in world: World) -> Installation {
        let sockets = snapshot.listeners.indices.map { index in
            ListeningSocket(descriptor: world.listen(Self.address(ofListener: index))) { _ in }
        }
        return Installation(
            snapshot, sockets: sockets, counts: snapshot.upstreams.map { _ in UpstreamCounts() },
            tls: Installation.TLS(
                servers: snapshot.listeners.map { _ in nil },
                clients: snapshot.upstreams.map { _ in nil }),
            buckets: snapshot.rateLimits.map { BucketTable(keys: $0.keys) })
    }
}
