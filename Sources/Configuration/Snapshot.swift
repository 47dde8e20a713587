public import Rules
public import Wire

/// One compiled configuration: immutable, whole, shared by every worker.
public final class Snapshot: Sendable {
    /// A digest of everything that was read, 16 hexadecimal digits: the same text, the same
    /// revision.
    public let revision: String
    public let listeners: [ListenerTerms]
    public let upstreams: [UpstreamTerms]
    /// In the order of the configuration; a `RouteTable` gives positions in this list.
    public let routes: [Route]
    /// Who may call what.
    public let access: AccessTable
    public let telemetry: TelemetryTerms
    public let renewed: [RenewedIdentity]
    public let tokens: TokenTerms
    public let signers: [TokenSignerTerms]
    public let expiries: [Expiry]
    public let overload: OverloadTerms
    /// Listeners and routes name positions in this list.
    public let rateLimits: [RateLimit]

    /// When a certificate, an authority or a list that the configuration names ends.
    public struct Expiry: Sendable {
        public enum Kind: String, Sendable { case identity, trust }

        public let kind: Kind
        public let name: String
        /// Seconds since 1970.
        public let at: Int64
    }

    /// What holds for the whole process.
    public struct ProcessTerms: Sendable {
        public var access: AccessTable
        public var telemetry = TelemetryTerms()
        public var renewed: [RenewedIdentity] = []
        public var tokens = TokenTerms.none
        public var signers: [TokenSignerTerms] = []
        public var expiries: [Expiry] = []
        public var overload = OverloadTerms()
        public var rateLimits: [RateLimit] = []

        public init(access: AccessTable) { self.access = access }
    }

    public init(
        revision: String, listeners: [ListenerTerms], upstreams: [UpstreamTerms],
        routes: [Route], process: ProcessTerms
    ) {
        self.revision = revision
        self.listeners = listeners
        self.upstreams = upstreams
        self.routes = routes
        access = process.access
        telemetry = process.telemetry
        renewed = process.renewed
        tokens = process.tokens
        signers = process.signers
        expiries = process.expiries
        overload = process.overload
        rateLimits = process.rateLimits
    }
}

/// An address that accepts connections, and what it allows them.
public final class ListenerTerms: Sendable {
    public let name: String
    /// The same, where it is not too long.
    public let shortName: ShortName
    public let address: SocketAddress
    /// The routes of this listener only.
    public let routes: RouteTable
    public let limits: DownstreamLimits
    public let timeouts: DownstreamTimeouts
    public let intake: Intake
    public var rateLimits: RateLimits { intake.rateLimits }
    /// Nil is cleartext.
    public let tls: ServerTLSTerms?
    /// Servers are told who the client has proven to be.
    public let forwardsClient: Bool

    /// Positions in the snapshot's list.
    public struct RateLimits: Sendable, Equatable {
        /// Before anything is asked about peer and token.
        public var first: [Int] = []
        /// After the access rules.
        public var identified: [Int] = []
    }

    /// What is asked of requests, and done to them, before they are routed.
    public struct Intake: Sendable {
        public enum Paths: Sendable {
            /// gRPC requests have paths in gRPC's own grammar.
            case strict
            /// They may have others.
            case relaxed
        }

        /// What becomes of `x-request-id`.
        public enum RequestID: Int, Sendable {
            /// Passed on as it came, if it came.
            case pass
            /// Made where none came, or none that may be believed.
            case make
            /// Always made.
            case replace
        }

        public var paths = Paths.strict
        public var requestID = RequestID.pass
        /// Requests that passed this process before are refused.
        public var refusesLoops = true
        /// Nil: nobody is believed about the client, and servers are told nothing of it.
        public var trustedProxies: TrustedProxies?
        public var rateLimits = RateLimits()
        /// Nil: connections begin with the client's own bytes.
        public var proxyProtocol: ProxyProtocol?

        public init() {}
    }

    public init(
        name: String, address: SocketAddress, routes: RouteTable,
        speech: (tls: ServerTLSTerms?, intake: Intake),
        bounds: (limits: DownstreamLimits, timeouts: DownstreamTimeouts)
    ) {
        self.name = name
        shortName = ShortName(name)
        self.address = address
        self.routes = routes
        intake = speech.intake
        tls = speech.tls
        forwardsClient = speech.tls?.forwardsClient ?? false
        limits = bounds.limits
        timeouts = bounds.timeouts
    }
}

/// A named service and its addresses.
public final class UpstreamTerms: Sendable {
    public let name: String
    /// Empty where a source is to give them.
    public let endpoints: [EndpointTerms]
    /// Where they come from, if not from the configuration.
    public let source: EndpointSource?
    public let limits: UpstreamLimits
    public let timeouts: UpstreamTimeouts
    /// True where every route to it speaks gRPC: anything else is 415.
    public var isGRPCOnly: Bool { conduct.isGRPCOnly }
    public let proof: Proof
    public let conduct: Conduct
    public var balance: BalanceTerms { conduct.balance }
    /// Nil is cleartext.
    public var tls: ClientTLSTerms? { proof.tls }

    /// How the two sides show who they are.
    public struct Proof: Sendable {
        public var tls: ClientTLSTerms?
        public var token: AttachedToken?

        public init(tls: ClientTLSTerms? = nil, token: AttachedToken? = nil) {
            self.tls = tls
            self.token = token
        }
    }

    /// What its requests are, and how its endpoints are watched.
    public struct Conduct: Sendable {
        public var isGRPCOnly = false
        public var balance = BalanceTerms()
        /// Nil: endpoints are not asked how they are.
        public var healthCheck: HealthCheckTerms?
        /// Nil: none is ejected.
        public var ejection: EjectionTerms?
        /// Nil: what servers may have at once does not depend on how fast they are.
        public var adaptive: GradientTerms?
        /// Nil is none.
        public var retryThrottle: RetryThrottle?

        public init() {}
    }

    public init(
        name: String, endpoints: (fixed: [EndpointTerms], source: EndpointSource?), proof: Proof,
        bounds: (limits: UpstreamLimits, timeouts: UpstreamTimeouts), conduct: Conduct
    ) {
        self.proof = proof
        self.conduct = conduct
        self.name = name
        self.endpoints = endpoints.fixed
        source = endpoints.source
        limits = bounds.limits
        timeouts = bounds.timeouts
    }
}
