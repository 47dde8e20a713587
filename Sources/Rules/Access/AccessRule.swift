public import Identity
public import Wire

/// Who may call the methods that it names. Every rule that names a method counts; their order never
/// matters.
public struct AccessRule: Sendable, Equatable {
    public enum Mode: Sendable { case enforce, dryRun }

    public var name: String
    /// A rule in `dryRun` neither allows nor denies: what it would do is told.
    public var mode = Mode.enforce
    /// Requests that any of them covers.
    public var patterns: [AccessPattern]
    /// Positions in the snapshot's list; nil is all.
    public var listeners: [Int]?
    /// Who is kept out: any of them suffices.
    public var deny: [AccessItem] = []
    /// Who is let in: any of them suffices. Without one the rule keeps nobody out but by `deny`.
    public var allow: [AccessItem] = []

    public init(name: String, patterns: [AccessPattern]) {
        self.name = name
        self.patterns = patterns
    }
}

/// Requests that a rule names: by their path, whatever their content-type says.
public struct AccessPattern: Sendable, Hashable {
    /// Compared as it is; nil is any.
    public var httpMethod: [UInt8]?
    public var path: PathPattern

    public init(httpMethod: [UInt8]? = nil, path: PathPattern) {
        self.httpMethod = httpMethod
        self.path = path
    }
}

/// Conditions on a caller that hold together. Nil is no condition; without any it is anyone.
public struct AccessItem: Sendable, Equatable {
    /// One of them matches what the connection's peer proved; never a caller without a certificate.
    public var peers: [PeerPattern]?
    public var token: TokenCondition?
    /// Where the connection comes from: whoever is at its other end, a proxy or not.
    public var source: [AddressRange]?
    /// Where the client is: behind trusted proxies what they say, otherwise the same as the source.
    public var client: [AddressRange]?
    /// To allow, a field must be there exactly once; to deny, any of its values suffices.
    public var headers: [HeaderCondition] = []

    public init() {}
}

/// A valid token of one issuer, with claims.
public struct TokenCondition: Sendable, Equatable {
    /// Position in the snapshot's list of issuers.
    public var issuer: Int
    public var claims: [ClaimCondition] = []

    public init(issuer: Int, claims: [ClaimCondition] = []) {
        self.issuer = issuer
        self.claims = claims
    }
}

/// A condition on one claim. Texts are compared byte by byte with a string's content, a whole
/// number's digits, or `true` and `false`; with nothing else.
public struct ClaimCondition: Sendable, Equatable {
    public enum Test: Sendable, Equatable {
        case equals([UInt8])
        case oneOf([[UInt8]])
        /// A member of an array, or of a list in a string with spaces between.
        case has([UInt8])
        /// What a string begins with.
        case prefix([UInt8])
        /// It is there and not null.
        case present
        /// The same as the value of that header field, named in lower case.
        case header([UInt8])
    }

    /// The claim's name, after those of the objects that it is in.
    public var path: [[UInt8]]
    public var test: Test

    public init(path: [[UInt8]], test: Test) {
        self.path = path
        self.test = test
    }
}
