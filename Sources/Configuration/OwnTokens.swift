public import Identity
internal import Wire

/// Tokens that Weir makes: in whose name, and with which key.
public struct TokenSignerTerms: Sendable {
    public let name: String
    /// `iss`.
    public let issuer: String
    /// Whom the tokens speak for; nil is the identity that Weir shows to the server.
    public var subject: String?
    /// Seconds.
    public var lifetime: Int64
    public let signer: TokenSigner
    /// The set that is published, as its file holds it.
    public let published: [UInt8]
}

/// The token that requests to an upstream carry instead of their own.
public enum AttachedToken: Hashable, Sendable {
    /// What a file held.
    case fixed([UInt8])
    case minted(Minting)

    /// Nil for a file's.
    public var minting: Minting? {
        switch self {
        case .fixed: nil
        case .minted(let minting): minting
        }
    }

    /// What is signed, and with which key. A token is the same for all upstreams that agree on it.
    public struct Minting: Hashable, Sendable {
        public let issuer: String
        public let subject: String
        public let audience: String
        /// Seconds.
        public let lifetime: Int64
        public let signer: TokenSigner

        public init(
            issuer: String, subject: String, audience: String, lifetime: Int64, signer: TokenSigner
        ) {
            self.issuer = issuer
            self.subject = subject
            self.audience = audience
            self.lifetime = lifetime
            self.signer = signer
        }

        public static func == (left: Minting, right: Minting) -> Bool {
            left.issuer.hasSameBytes(as: right.issuer)
                && left.subject.hasSameBytes(as: right.subject)
                && left.audience.hasSameBytes(as: right.audience)
                && left.lifetime == right.lifetime && left.signer.keyID == right.signer.keyID
                && left.signer.algorithm == right.signer.algorithm
        }

        public func hash(into hasher: inout Hasher) {
            for text in [issuer, subject, audience, signer.keyID] { hasher.combine(text) }
            hasher.combine(lifetime)
        }
    }
}
