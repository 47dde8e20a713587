internal import Wire

/// A rate that requests are held to, and what tells apart those that share a bucket. Immutable;
/// made by Configuration.
public final class RateLimit: Sendable {
    /// What a limit may count by.
    public enum Part: Sendable, Equatable {
        /// Where the connection comes from; of IPv6 the /64, which is what one subscriber has.
        case source
        /// The same of the client behind trusted proxies.
        case client
        /// Who the connection's peer has proven to be.
        case peer
        /// The path without its query.
        case method
        case route
        /// All values of a field, by its name in lower case.
        case header([UInt8])
        /// A claim of the verified token, by the names that lead to it.
        case claim([[UInt8]])

        /// Known only when peer and token were looked at.
        public var isOfIdentity: Bool {
            switch self {
            case .peer, .claim: true
            case .source, .client, .method, .route, .header: false
            }
        }
    }

    /// Who knows the rates, where it is not Weir: a service of an upstream.
    public struct Service: Sendable, Equatable {
        /// Position in the snapshot's list of upstreams.
        public let upstream: Int
        public let domain: [UInt8]
        /// In nanoseconds.
        public let timeout: Int64
        /// What does not answer refuses.
        public let deniesOnFailure: Bool

        public init(upstream: Int, domain: [UInt8], timeout: Int64, deniesOnFailure: Bool) {
            self.upstream = upstream
            self.domain = domain
            self.timeout = timeout
            self.deniesOnFailure = deniesOnFailure
        }
    }

    public static let partsMax = 8

    public let name: String
    public let rate: Rate
    public let burst: Int64
    /// Empty: one bucket for all.
    public let parts: [Part]
    /// Buckets that are told apart at once.
    public let keys: Int
    /// It only counts and logs what it would refuse.
    public let isDryRun: Bool
    /// Nil: Weir itself; then `rate` and `burst` count.
    public let service: Service?
    private let layout: Layout

    public init(
        name: String, _ rate: Rate, burst: Int64, by parts: (list: [Part], keys: Int),
        mode: (isDryRun: Bool, service: Service?)
    ) {
        self.name = name
        self.rate = rate
        self.burst = burst
        self.parts = parts.list
        keys = parts.list.isEmpty || mode.service != nil ? 1 : parts.keys
        isDryRun = mode.isDryRun
        service = mode.service
        layout = Layout(parts.list)
    }

    public var bucket: TokenBucket { TokenBucket(rate, burst: burst) }
    public var isOfIdentity: Bool { parts.contains { $0.isOfIdentity } }
    public var isOfRoute: Bool { parts.contains(.route) }

    /// Whether buckets of `other` mean the same callers.
    public func hasSameKeys(as other: RateLimit) -> Bool {
        parts == other.parts && keys == other.keys
    }

    /// The bucket that a request belongs to, as a number that nobody outside can foretell: a keyed
    /// hash (Swift's `Hasher`, with the process's random seed). What a request does not have is a
    /// value like any other: callers without a certificate share one bucket.
    public func key(
        of request: RateLimitedRequest, _ caller: AccessCaller,
        _ fields: borrowing some RequestFields
    ) -> UInt64 {
        layout.key(of: request, caller, fields)
    }
}

/// What of a request a limit may count by, besides who sends it.
public struct RateLimitedRequest: BitwiseCopyable, Sendable {
    var pathHash: UInt64 = 0
    var routeHash: UInt64 = 0

    /// - path: with its query.
    public init(path: Span<UInt8>, route: Route? = nil) {
        var end = 0
        while end < path.count, path[end] != UInt8(ascii: "?") { end &+= 1 }
        pathHash = Self.hash(path.extracting(0..<end))
        routeHash = route?.rateLimits.hash ?? 0
    }

    static func hash(_ text: Span<UInt8>) -> UInt64 {
        var hasher = Hasher()
        hasher.combine(text: text)
        return UInt64(bitPattern: Int64(hasher.finalize()))
    }
}

/// A route's own limits, by their positions in the snapshot's list.
public struct RouteRateLimits: Sendable {
    public let positions: [Int]
    /// Of the one that a service decides; -1 is none.
    public let service: Int
    let hash: UInt64

    public init(_ positions: [Int], service: Int, route: String) {
        self.positions = positions
        self.service = service
        hash = positions.isEmpty ? 0 : RateLimitedRequest.hash(route.utf8.span)
    }
}

extension RateLimit {
    /// The parts as a request looks at them: without a reference to count.
    fileprivate struct Layout: Sendable {
        enum Kind: UInt8, BitwiseCopyable {
            case source, client, peer, method, route, header, claim
        }

        struct Place: BitwiseCopyable {
            let kind: Kind
            /// In the list of names.
            let first: Int
            let end: Int
        }

        private(set) var parts: [Place] = []
        private(set) var names: [Range<Int>] = []
        private(set) var bytes: [UInt8] = []

        init(_ list: [Part]) { for part in list { add(part) } }

        private mutating func add(_ part: Part) {
            let first = names.count
            let kind: Kind
            switch part {
            case .source: kind = .source
            case .client: kind = .client
            case .peer: kind = .peer
            case .method: kind = .method
            case .route: kind = .route
            case .header(let name):
                kind = .header
                add(name)
            case .claim(let path):
                kind = .claim
                for name in path { add(name) }
            }
            parts.append(Place(kind: kind, first: first, end: names.count))
        }

        private mutating func add(_ name: [UInt8]) {
            names.append(bytes.count..<(bytes.count + name.count))
            bytes += name
        }
    }
}

extension RateLimit.Layout {
    func key(
        of request: RateLimitedRequest, _ caller: AccessCaller,
        _ fields: borrowing some RequestFields
    ) -> UInt64 {
        var hasher = Hasher()
        for index in parts.indices {
            let part = parts[index]
            switch part.kind {
            case .source: hasher.combine(caller.source.subscriber)
            case .client: hasher.combine(caller.client.subscriber)
            case .peer: combine(caller.peer, &hasher)
            case .method: hasher.combine(request.pathHash)
            case .route: hasher.combine(request.routeHash)
            case .header: combine(header: part, fields, &hasher)
            case .claim: combine(claim: part, caller.token, &hasher)
            }
        }
        return UInt64(bitPattern: Int64(hasher.finalize()))
    }

    private func combine(_ peer: AccessPeer?, _ hasher: inout Hasher) {
        guard let proof = peer?.proof else { return hasher.combine(UInt8(0)) }
        let id = proof.id
        if !id.isEmpty {
            hasher.combine(UInt8(1))
            return hasher.combine(text: id.span)
        }
        hasher.combine(UInt8(2))
        for index in proof.dnsNames.indices {
            let name = proof.dnsNames[index]
            hasher.combine(text: name.span)
        }
    }

    private func combine(
        header part: Place, _ fields: borrowing some RequestFields, _ hasher: inout Hasher
    ) {
        var count = 0
        let name = names[part.first]
        fields.forEachValue(of: bytes.span.extracting(name)) { value in
            count &+= 1
            hasher.combine(text: value)
        }
        hasher.combine(count)
    }

    private func combine(claim part: Place, _ token: AccessToken, _ hasher: inout Hasher) {
        guard case .valid(let claims) = token else { return hasher.combine(UInt8(0)) }
        // Two issuers may give two people one name.
        hasher.combine(claims.issuer)
        var value = claims.claims
        for position in part.first..<part.end {
            guard let member = member(names[position], of: value) else {
                return hasher.combine(UInt8(1))
            }
            value = member
        }
        switch value {
        case .string(let text):
            hasher.combine(UInt8(2))
            hasher.combine(text: text.utf8.span)
        case .integer(let number): hasher.combine(number)
        case .bool(let isTrue): hasher.combine(isTrue)
        case .null, .number, .array, .object: hasher.combine(UInt8(1))
        }
    }

    private func member(_ name: Range<Int>, of value: JSONValue) -> JSONValue? {
        guard case .object(let members) = value else { return nil }
        return members.first {
            Comparison.exact.holds(bytes.span.extracting(name), $0.name.utf8.span)
        }?.value
    }
}

extension Hasher {
    fileprivate mutating func combine(text: Span<UInt8>) {
        var index = 0
        while index &+ 8 <= text.count {
            combine(text.word(at: index))
            index &+= 8
        }
        combine(text.lastBytes(text.count &- index))
        combine(text.count)
    }
}
