public import Wire

/// Where a request goes and how. Immutable; made by Configuration, found through a `RouteTable`.
public final class Route: Sendable {
    public let name: String
    /// The same, where it is not too long.
    public let shortName: ShortName
    /// Its position in the configuration's list of routes.
    public let index: Int
    public let action: Action
    /// The upstream that all requests go to; -1 where there is a choice, or an answer of Weir's
    /// own, or more to do with them.
    public let soleUpstream: Int
    /// The whole exchange, in nanoseconds; 0 is none. The shorter of this and grpc-timeout holds.
    public let timeout: Int64
    /// A stream on which nothing passed either way for so long is ended; 0 is never.
    public let idleTimeout: Int64
    public let messages: MessageLimits
    /// Nil: only what no server has processed is tried again.
    public let retry: RetryPolicy?
    public let rewrite: Rewrite?
    public let requestHeaders: HeaderEdits?
    public let responseHeaders: HeaderEdits?
    /// True where a match names gRPC methods: anything but `application/grpc` is 415.
    public let isGRPCOnly: Bool
    /// False where its exchanges have no line in the access log.
    public let isLogged: Bool
    private let failures: FailureSet
    public let rateLimits: RouteRateLimits
    public let faults: FaultTerms?
    /// It has some.
    public let hasFaults: Bool
    public let mirror: MirrorTerms?

    public enum Action: Sendable {
        case forward(WeightedBackends)
        case respond(DirectResponse)
        case redirect(Redirect)
        case health(HealthTerms)
    }

    public struct Terms: Sendable {
        public var timeout: Int64 = 0
        public var idleTimeout: Int64 = 0
        public var messages = MessageLimits.none
        public var retry: RetryPolicy?
        public var rewrite: Rewrite?
        public var requestHeaders: HeaderEdits?
        public var responseHeaders: HeaderEdits?
        public var isGRPCOnly = false
        public var isLogged = true
        public var failures = FailureSet.standard
        public var rateLimits: [Int] = []
        /// Of one that a service decides.
        public var limitService = -1
        public var faults: FaultTerms?
        public var mirror: MirrorTerms?
        public init() {}
    }

    public init(name: String, index: Int, action: Action, terms: Terms) {
        self.name = name
        shortName = ShortName(name)
        self.index = index
        self.action = action
        let copies = terms.mirror?.share ?? 0
        if case .forward(let backends) = action, backends.backends.count == 1, copies == 0 {
            soleUpstream = backends.backends[0].upstream
        } else {
            soleUpstream = -1
        }
        timeout = terms.timeout
        idleTimeout = terms.idleTimeout
        messages = terms.messages
        retry = terms.retry
        rewrite = terms.rewrite
        requestHeaders = terms.requestHeaders
        responseHeaders = terms.responseHeaders
        isGRPCOnly = terms.isGRPCOnly
        isLogged = terms.isLogged
        failures = terms.failures
        faults = terms.faults
        hasFaults = terms.faults != nil
        mirror = terms.mirror
        rateLimits = RouteRateLimits(
            terms.rateLimits, service: terms.limitService, route: name)
    }

    /// What counts against an endpoint; for those who show it.
    public var countedFailures: FailureSet { failures }

    // Asked for every call: here, where nothing of the set is counted by reference.

    /// Whether a call that ended with this code of gRPC counts against its endpoint.
    public func isFailure(code: UInt32) -> Bool { failures.contains(code: code) }

    /// The same for a status of plain HTTP.
    public func isFailure(status: UInt16) -> Bool { failures.contains(status: status) }
}

/// Weir's own answers to health checks (grpc.health.v1): about itself, under the empty name, and
/// about upstreams.
public struct HealthTerms: Sendable {
    public struct Service: Sendable {
        public let name: [UInt8]
        /// Position in the snapshot's list of upstreams; nil is the process itself.
        public let upstream: Int?

        public init(name: [UInt8], upstream: Int?) {
            self.name = name
            self.upstream = upstream
        }
    }

    public let services: [Service]

    public init(services: [Service]) { self.services = services }
}

/// How large a gRPC message may be each way, compressed as it is sent, in bytes. `UInt32.max` is no
/// limit: no prefix says more.
public struct MessageLimits: Sendable, Equatable {
    public static let none = MessageLimits()

    public var requestBytes: UInt32 = .max
    public var responseBytes: UInt32 = .max
}

/// Backends by weight; one draw of a random number picks one.
public struct WeightedBackends: Sendable {
    public struct Backend: Sendable {
        /// Position in the snapshot's list of upstreams.
        public let upstream: Int
        public let weight: UInt32

        public init(upstream: Int, weight: UInt32) {
            self.upstream = upstream
            self.weight = weight
        }
    }

    public let backends: [Backend]
    public let totalWeight: UInt32

    /// At least one backend with a weight above 0; Configuration has checked that.
    public init(_ backends: [Backend]) {
        self.backends = backends
        totalWeight = backends.reduce(0) { $0 + $1.weight }
    }

    /// The upstream that `draw`, any random number, falls on.
    public func pick(_ draw: UInt64) -> Int {
        if backends.count == 1 { return backends[0].upstream }
        var left = UInt32(truncatingIfNeeded: draw % UInt64(max(totalWeight, 1)))
        for backend in backends {
            if left < backend.weight { return backend.upstream }
            left -= backend.weight
        }
        return backends[backends.count - 1].upstream
    }
}

/// Applied last, after every decision, and logged.
public struct Rewrite: Sendable {
    /// Replaces the matched prefix of the path, as ASCII bytes.
    public let path: PathRewrite?
    /// Replaces `:authority`, as ASCII bytes.
    public let hostname: [UInt8]?

    public enum PathRewrite: Sendable {
        /// `count` bytes at the front of the path are replaced.
        case prefix(count: Int, with: [UInt8])
        case full([UInt8])
    }

    public init(path: PathRewrite?, hostname: [UInt8]?) {
        self.path = path
        self.hostname = hostname
    }
}

/// Fields to remove, then set (replace all of that name), then add. Names in lower case.
public struct HeaderEdits: Sendable {
    public struct Field: Sendable, Equatable {
        public let name: [UInt8]
        public let value: [UInt8]

        public init(name: [UInt8], value: [UInt8]) {
            self.name = name
            self.value = value
        }
    }

    public let remove: [[UInt8]]
    public let set: [Field]
    public let add: [Field]

    public init(remove: [[UInt8]], set: [Field], add: [Field]) {
        self.remove = remove
        self.set = set
        self.add = add
    }
}

/// An answer that Weir gives by itself: HTTP callers see `status` and `body`, gRPC callers
/// `grpcStatus` with `message` as Trailers-Only.
public struct DirectResponse: Sendable {
    public let status: UInt16
    public let contentType: [UInt8]
    public let body: [UInt8]
    public let grpcStatus: UInt8
    public let message: String

    public init(
        status: UInt16, contentType: [UInt8], body: [UInt8], grpcStatus: UInt8, message: String
    ) {
        self.status = status
        self.contentType = contentType
        self.body = body
        self.grpcStatus = grpcStatus
        self.message = message
    }
}

/// A redirect of plain HTTP requests (RFC 9110, 15.4). What is nil stays as in the request.
public struct Redirect: Sendable {
    /// 301, 302, 303, 307 or 308.
    public let status: UInt16
    public let scheme: [UInt8]?
    public let hostname: [UInt8]?
    public let port: UInt16?
    public let path: Rewrite.PathRewrite?

    public init(
        status: UInt16, scheme: [UInt8]?, hostname: [UInt8]?, port: UInt16?,
        path: Rewrite.PathRewrite?
    ) {
        self.status = status
        self.scheme = scheme
        self.hostname = hostname
        self.port = port
        self.path = path
    }
}
