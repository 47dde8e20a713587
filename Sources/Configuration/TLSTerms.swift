public import Identity

/// How a listener speaks TLS.
public final class ServerTLSTerms: Sendable {
    public enum Clients: String, Sendable, CaseIterable {
        /// No certificate is asked for.
        case none
        /// One that is shown must verify.
        case optional
        case required
    }

    /// Who Weir is to its clients: chosen by the name that the client asks for (SNI), the first
    /// where no name fits.
    public let identities: [LocalIdentity]
    public let clients: Clients
    /// Whom it believes about clients.
    public let trust: [TrustBundle]
    /// Servers are told who the client has proven to be.
    public let forwardsClient: Bool

    public init(
        identities: [LocalIdentity], clients: Clients, trust: [TrustBundle],
        forwardsClient: Bool = false
    ) {
        self.forwardsClient = forwardsClient
        self.identities = identities
        self.clients = clients
        self.trust = trust
    }

    /// Equal for terms that mean the same, files' contents included.
    public var digest: [UInt8] {
        identities.reduce(into: Array(clients.rawValue.utf8)) { $0 += $1.digest } + trustDigest
    }

    /// What a client's identity was believed by.
    public var trustDigest: [UInt8] { trust.reduce(into: []) { $0 += $1.digest } }
}

/// How Weir speaks TLS to the servers of one upstream.
public final class ClientTLSTerms: Sendable {
    /// Who Weir is to them; nil shows no certificate.
    public let identity: LocalIdentity?
    public let trust: [TrustBundle]
    /// Who they must be: any of these.
    public let peers: [PeerPattern]
    /// The name that their certificates must have, instead of `peers`.
    public let dnsName: String?
    /// The name that is asked for (SNI); nil asks for none.
    public let serverName: String?

    public init(
        identity: LocalIdentity?, trust: [TrustBundle], peers: [PeerPattern], dnsName: String?,
        serverName: String?
    ) {
        self.identity = identity
        self.trust = trust
        self.peers = peers
        self.dnsName = dnsName
        self.serverName = serverName
    }

    /// Equal for terms under which a server that was believed still is.
    public var trustDigest: [UInt8] {
        let names = peers.map(\.description) + [dnsName ?? ""]
        return names.reduce(into: trust.reduce(into: []) { $0 += $1.digest }) {
            $0 += Array($1.utf8) + [0]
        }
    }

    public var digest: [UInt8] {
        trustDigest + Array((serverName ?? "").utf8) + [0] + (identity?.digest ?? [])
    }
}
