public import Identity
public import Wire

/// Who calls, as access rules see it.
public struct AccessCaller: Sendable {
    /// Nil for connections without a verified certificate.
    public var peer: AccessPeer?
    public var token = AccessToken.none
    public var source = IPAddress.unknown
    public var client = IPAddress.unknown

    public init() {}

    /// Whoever is at the other end of a connection, and nobody behind it.
    public init(at address: SocketAddress) {
        source = IPAddress(address)
        client = source
    }
}

/// What became of a request's token.
public enum AccessToken: Sendable {
    case none
    case valid(AccessClaims)
    case invalid
    /// Nobody can tell: the issuer's keys are not at hand.
    case unavailable
}

/// What a valid token says.
public final class AccessClaims: Sendable {
    /// Position in the snapshot's list of issuers.
    public let issuer: Int
    public let claims: JSONValue

    public init(issuer: Int, claims: JSONValue) {
        self.issuer = issuer
        self.claims = claims
    }
}

/// What a connection's peer proved, ready to be compared with patterns: made once for a connection,
/// whatever rules there are.
public final class AccessPeer: Sendable {
    let proof: Proof

    struct Proof: Sendable {
        /// Empty without one.
        let id: [UInt8]
        let hash: UInt64
        /// They count only where there is no SPIFFE ID.
        let dnsNames: [[UInt8]]
    }

    public init(_ identity: PeerIdentity) {
        let id = identity.spiffeID.map { Array($0.description.utf8) } ?? []
        let names = id.isEmpty ? identity.dnsNames.map { Array($0.utf8) } : []
        proof = Proof(id: id, hash: RouteHash(id.span).value, dnsNames: names)
    }
}
