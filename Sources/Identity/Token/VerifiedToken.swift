public import Wire

/// A token whose form and signature were checked under one issuer's terms. What depends on the
/// moment and the connection is not: `TokenIssuer.refusal(of:at:fingerprint:)` says that for each
/// request.
public final class VerifiedToken: Sendable {
    /// The name of the issuer's entry in the configuration (not the claim `iss`).
    public let issuer: String
    /// The entry's position among the issuers that the token was verified with.
    public let issuerIndex: Int
    /// An object.
    public let claims: JSONValue
    /// Seconds since 1970.
    public let expiresAt: Int64
    public let notBefore: Int64?
    public let issuedAt: Int64?
    public let subject: String?
    /// The subject where it is a SPIFFE ID, which the key may speak for.
    public let spiffeID: SPIFFEID?
    public let audiences: [String]
    /// SHA-256 of the only client certificate that may carry the token (RFC 8705, 3.1).
    public let certificate: [UInt8]?

    /// One of its audiences is one of its issuer's.
    public let isForAudience: Bool

    /// - issuer: whose terms it meets, at `index` of the issuers.
    public init(_ claims: TokenClaims, by issuer: TokenIssuer, at index: Int) {
        self.issuer = issuer.name
        issuerIndex = index
        isForAudience = claims.audiences.contains { audience in
            issuer.audiences.contains { $0.hasSameBytes(as: audience) }
        }
        self.claims = claims.all
        expiresAt = claims.expiresAt
        notBefore = claims.notBefore
        issuedAt = claims.issuedAt
        subject = claims.subject
        spiffeID = claims.spiffeID
        audiences = claims.audiences
        certificate = claims.certificate
    }
}
