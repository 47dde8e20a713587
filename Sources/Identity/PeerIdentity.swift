/// Who is at the other end of a connection, proven by its certificate.
public struct PeerIdentity: Hashable, Sendable {
    /// What an X.509-SVID's only URI SAN says; nil for certificates without one.
    public let spiffeID: SPIFFEID?
    /// DNS names of its subject alternative names, in lower case; they count only where there is no
    /// SPIFFE ID.
    public let dnsNames: [String]
    /// The name of the trust entry that it was verified under.
    public let trust: String
    /// When the first certificate of its chain expires, in seconds since 1970.
    public let expiresAt: Int64
    /// SHA-256 of the certificate's DER, 32 bytes (RFC 8705, 3.1).
    public let fingerprint: [UInt8]

    public init(
        spiffeID: SPIFFEID?, dnsNames: [String], trust: String, expiresAt: Int64,
        fingerprint: [UInt8]
    ) {
        self.spiffeID = spiffeID
        self.dnsNames = dnsNames
        self.trust = trust
        self.expiresAt = expiresAt
        self.fingerprint = fingerprint
    }
}
