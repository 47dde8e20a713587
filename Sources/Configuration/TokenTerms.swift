public import Identity

/// Whose tokens count, and what becomes of them.
public final class TokenTerms: Sendable {
    public static let none = TokenTerms([])
    public static let issuersMax = 100

    public let issuers: [TokenIssuerTerms]
    /// Knows the issuers in the same order.
    public let verifier: TokenVerifier

    public init(_ issuers: [TokenIssuerTerms]) {
        self.issuers = issuers
        verifier = TokenVerifier(issuers.map(\.issuer))
    }

    public var isEmpty: Bool { issuers.isEmpty }
}

/// One issuer, and what becomes of its tokens.
public struct TokenIssuerTerms: Hashable, Sendable {
    public enum Keys: Hashable, Sendable {
        /// What a file held.
        case fixed(KeySet)
        case fetched(KeySource)

        public static func == (left: Keys, right: Keys) -> Bool {
            switch (left, right) {
            case (.fixed(let left), .fixed(let right)): left.digest == right.digest
            case (.fetched(let left), .fetched(let right)): left == right
            default: false
            }
        }

        public func hash(into hasher: inout Hasher) {
            switch self {
            case .fixed(let set): hasher.combine(set.digest)
            case .fetched(let source): hasher.combine(source)
            }
        }
    }

    /// A claim that servers are told of in a header field.
    public struct ClaimHeader: Hashable, Sendable {
        /// The claim's name, or names with dots between them, from the outside in.
        public let claim: String
        /// In lower case; begins with `x-jwt-`, so that no client's own gets through.
        public let name: [UInt8]

        public init(claim: String, name: [UInt8]) {
            self.claim = claim
            self.name = name
        }
    }

    public let issuer: TokenIssuer
    public let keys: Keys
    /// Servers get the token as it came.
    public var forwards = false
    public var headers: [ClaimHeader] = []

    public init(_ issuer: TokenIssuer, _ keys: Keys) {
        self.issuer = issuer
        self.keys = keys
    }
}

/// A key set that is fetched.
public struct KeySource: Hashable, Sendable {
    /// https.
    public let url: String
    /// Nanoseconds between two fetches.
    public var refresh: Int64
    /// A file with the authorities that are believed about the server; nil is the system's.
    public var authorities: String?

    public init(url: String, refresh: Int64, authorities: String? = nil) {
        self.url = url
        self.refresh = refresh
        self.authorities = authorities
    }
}
