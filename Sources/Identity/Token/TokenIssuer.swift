internal import Wire

/// Who may sign tokens, and what these must say.
public struct TokenIssuer: Hashable, Sendable {
    /// Hardening: clocks of honest hosts differ by less.
    public static let skewMax: Int64 = 60

    /// The entry's name in the configuration.
    public let name: String
    /// What `iss` must be, byte by byte.
    public let issuer: String
    /// One of them at least must be in `aud`.
    public let audiences: [String]
    /// No other is tried, whatever a token's header says.
    public let algorithms: [TokenAlgorithm]
    /// Seconds that clocks may differ by.
    public var skew: Int64 = 30
    /// Seconds from `iat`, or from now, to `exp`.
    public var lifetimeMax: Int64?
    /// Claims that must be there and not null.
    public var requiredClaims: [String] = []
    /// Media types that `typ` may name, without case and without `application/`; it may be missing.
    public var types = ["jwt", "at+jwt"]
    /// The trust domain whose SPIFFE IDs this issuer speaks for. A key that names an ID speaks for
    /// that one alone, and needs no trust domain.
    public var trustDomain: String?
    /// Only tokens bound to a client certificate (RFC 8705) are valid.
    public var requiresCertificate = false

    public init(
        name: String, issuer: String, audiences: [String], algorithms: [TokenAlgorithm]
    ) {
        self.name = name
        self.issuer = issuer
        self.audiences = audiences
        self.algorithms = algorithms
    }

    /// What depends on the moment and the connection; nil where nothing speaks against the token.
    ///
    /// - now: seconds since 1970.
    /// - fingerprint: SHA-256 of the caller's certificate, if it has shown one.
    public func refusal(
        of token: VerifiedToken, at now: Int64, fingerprint: [UInt8]?
    ) -> TokenRefusal? {
        if now >= token.expiresAt &+ skew { return .expired }
        if let notBefore = token.notBefore, now &+ skew < notBefore { return .notYetValid }
        if let issuedAt = token.issuedAt, now &+ skew < issuedAt { return .notYetValid }
        if let lifetimeMax, token.expiresAt > now &+ skew &+ lifetimeMax { return .lifetime }
        if !token.isForAudience { return .audience }
        guard let certificate = token.certificate else { return nil }
        guard let fingerprint else { return .certificateMissing }
        return fingerprint == certificate ? nil : .certificateOther
    }

    /// The times, in seconds since 1970, at which `refusal` has nothing to say of the time or the
    /// audience; empty where there is none.
    public func window(of token: VerifiedToken) -> Range<Int64> {
        guard token.isForAudience else { return 0..<0 }
        var start = max(token.notBefore ?? 0, token.issuedAt ?? 0) &- skew
        if let lifetimeMax { start = max(start, token.expiresAt &- skew &- lifetimeMax) }
        let end = token.expiresAt &+ skew
        return min(start, end)..<end
    }

    /// What a token's claims must be to this issuer, at any time.
    func check(_ claims: TokenClaims, _ header: TokenHeader) throws(TokenRefusal) {
        if let type = header.type, !accepts(type) { throw .type }
        for name in requiredClaims {
            guard let value = claims.all[name], value != .null else { throw .claimRequired }
        }
        if let lifetimeMax, let issuedAt = claims.issuedAt,
            claims.expiresAt - issuedAt > lifetimeMax
        {
            throw .lifetime
        }
        if requiresCertificate, claims.certificate == nil { throw .confirmationMissing }
        if claims.spiffeID != nil { try checkSVID(header) }
    }

    /// JWT-SVID, 2: fewer algorithms, no other header fields, and two types.
    private func checkSVID(_ header: TokenHeader) throws(TokenRefusal) {
        guard header.algorithm.isOfSVID, header.isPlain,
            ["JWT", "JOSE"].contains(header.type ?? "JWT")
        else { throw .svidForm }
    }

    private func accepts(_ type: String) -> Bool {
        var type = type.lowercased()
        if type.hasPrefix("application/") { type.removeFirst("application/".count) }
        return types.contains { $0.hasSameBytes(as: type) } || type == "jose" && trustDomain != nil
    }

    /// Whether a key may sign for a subject.
    func lets(_ key: VerificationKey, speakFor claims: TokenClaims) -> Bool {
        if let own = key.spiffeID { return claims.spiffeID == own }
        guard let id = claims.spiffeID else { return key.use == .signature }
        return trustDomain.map { id.trustDomain == $0 } ?? false
    }
}
