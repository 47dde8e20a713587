public import Identity
internal import Rules
internal import Wire

/// A question about a request: what would become of it? As `weir explain` takes it from a person,
/// and the administration interface as JSON.
public struct Inquiry: Sendable {
    /// Why a question cannot be answered, in words.
    public struct Problem: Error, Equatable {
        public let words: String

        public init(_ words: String) { self.words = words }
    }

    public static let headersMax = 100

    /// Empty: the only one.
    public var listener = ""
    /// `pkg.Service/Method`; nil asks about plain HTTP.
    public var method: String?
    public var path: String?
    public var httpMethod = "GET"
    public var authority = "localhost"
    /// `name: value`.
    public var headers: [String] = []
    /// What the connection's peer has proven: a SPIFFE ID, or `dns:name`.
    public var peer: String?
    /// SHA-256 of its certificate, 64 hexadecimal digits.
    public var certificate: String?
    public var source = "127.0.0.1"
    /// The address behind trusted proxies; nil is the source.
    public var client: String?
    public var token: String?

    public init() {}

    // MARK: Answers

    /// - keys: for each token issuer of the snapshot, its keys if they are at hand.
    /// - unixTime: seconds since 1970.
    public func explanation(
        in snapshot: Snapshot, keys: KeysAtHand, at unixTime: Int64
    ) throws(Problem) -> Explanation {
        var request = try describedRequest()
        var identity: PeerIdentity?
        if let peer { identity = try self.identity(peer) }
        request.caller = try caller(identity)
        let terms = try listener(in: snapshot)
        var lines: [String] = []
        if let token {
            let bytes = Array(token.utf8)
            let found = snapshot.tokens.judge(
                bytes, keys, at: unixTime, fingerprint: identity?.fingerprint)
            request.caller.token = found.token
            lines = [found.words]
        }
        return Explanation(request, at: terms, in: snapshot, notes: lines)
    }

    private func describedRequest() throws(Problem) -> DescribedRequest {
        guard (method == nil) != (path == nil) else {
            throw Problem("say either which method or which path")
        }
        guard headers.count <= Self.headersMax else {
            throw Problem("more than \(Self.headersMax) headers")
        }
        var fields: [DescribedRequest.Field] = []
        for header in headers {
            guard let colon = header.dropFirst().firstIndex(of: ":") else {
                throw Problem("'\(header)' is no header: expected 'name: value'")
            }
            let value = header[header.index(after: colon)...].drop(while: { $0 == " " })
            fields.append(.init(name: String(header[..<colon]), value: String(value)))
        }
        if let method {
            return DescribedRequest(method: method, authority: authority, fields: fields)
        }
        return DescribedRequest(
            path: path ?? "/", httpMethod: httpMethod, authority: authority, fields: fields)
    }

    private func caller(_ identity: PeerIdentity?) throws(Problem) -> AccessCaller {
        var caller = AccessCaller()
        caller.source = try Self.address(source, "source")
        caller.client = caller.source
        if let client { caller.client = try Self.address(client, "client") }
        caller.peer = identity.map { AccessPeer($0) }
        return caller
    }

    private static func address(_ text: String, _ what: String) throws(Problem) -> IPAddress {
        guard let address = IPAddress(parsing: text.utf8.span) else {
            throw Problem("the \(what) is an IP address, not '\(text)'")
        }
        return address
    }

    private func identity(_ text: String) throws(Problem) -> PeerIdentity {
        let isName = text.hasPrefix("dns:")
        let id = isName ? nil : try? SPIFFEID(text)
        guard isName || id.map({ !$0.path.isEmpty }) == true else {
            throw Problem("the peer is a SPIFFE ID or dns:name, not '\(text)'")
        }
        var fingerprint: [UInt8] = []
        if let certificate {
            guard let bytes = Hexadecimal.bytes(of: certificate), bytes.count == 32 else {
                throw Problem("the certificate is a SHA-256, 64 hexadecimal digits")
            }
            fingerprint = bytes
        }
        return PeerIdentity(
            spiffeID: id, dnsNames: isName ? [String(text.dropFirst(4))] : [], trust: "",
            expiresAt: .max, fingerprint: fingerprint)
    }

    private func listener(in snapshot: Snapshot) throws(Problem) -> ListenerTerms {
        let names = snapshot.listeners.map(\.name).joined(separator: ", ")
        guard !listener.isEmpty else {
            guard snapshot.listeners.count == 1 else {
                throw Problem("say which listener, one of \(names)")
            }
            return snapshot.listeners[0]
        }
        guard let terms = snapshot.listeners.first(where: { $0.name == listener }) else {
            throw Problem("no listener is called '\(listener)', only \(names)")
        }
        return terms
    }
}

/// As JSON, a member for each part that is not as usual.
extension Inquiry {
    private static let texts: [(String, any WritableKeyPath<Inquiry, String?> & Sendable)] = [
        ("method", \.method), ("path", \.path), ("peer", \.peer), ("certificate", \.certificate),
        ("client", \.client), ("token", \.token),
    ]
    private static let usual: [(String, any WritableKeyPath<Inquiry, String> & Sendable)] = [
        ("listener", \.listener), ("http_method", \.httpMethod), ("authority", \.authority),
        ("source", \.source),
    ]

    public init(parsing json: [UInt8]) throws(Problem) {
        guard case .object(let members)? = try? JSONParser.parse(json.span) else {
            throw Problem("the question is no JSON object")
        }
        self.init()
        for member in members {
            if member.name == "headers" {
                headers = try Self.headers(member.value)
                continue
            }
            guard case .string(let text) = member.value else {
                throw Problem("'\(member.name)' is no text")
            }
            if let (_, path) = Self.texts.first(where: { $0.0 == member.name }) {
                self[keyPath: path] = text
            } else if let (_, path) = Self.usual.first(where: { $0.0 == member.name }) {
                self[keyPath: path] = text
            } else {
                let known = (Self.texts.map(\.0) + Self.usual.map(\.0) + ["headers"]).sorted()
                throw Problem(
                    "nothing is called '\(member.name)'; there are " + known.joined(separator: ", ")
                )
            }
        }
    }

    private static func headers(_ value: JSONValue) throws(Problem) -> [String] {
        guard case .array(let values) = value else { throw Problem("'headers' is no list") }
        var headers: [String] = []
        for value in values {
            guard case .string(let text) = value else { throw Problem("a header is no text") }
            headers.append(text)
        }
        return headers
    }

    public var json: [UInt8] {
        var members: [JSONValue.Member] = []
        for (name, path) in Self.texts {
            guard let text = self[keyPath: path] else { continue }
            members.append(.init(name: name, value: .string(text)))
        }
        for (name, path) in Self.usual {
            members.append(.init(name: name, value: .string(self[keyPath: path])))
        }
        if !headers.isEmpty {
            members.append(.init(name: "headers", value: .array(headers.map { .string($0) })))
        }
        return JSONValue.object(members).bytes
    }
}

/// The key sets that were fetched, by their source.
public typealias KeysAtHand = [KeySource: KeySet]

extension TokenTerms {
    /// What becomes of a token, as access rules see it and in words.
    func judge(
        _ bytes: [UInt8], _ keys: KeysAtHand, at unixTime: Int64, fingerprint: [UInt8]?
    ) -> (token: AccessToken, words: String) {
        guard !issuers.isEmpty else {
            return (.none, "token: not looked at, as there are no token_issuers")
        }
        let sets = issuers.map { issuer -> KeySet? in
            switch issuer.keys {
            case .fixed(let set): set
            case .fetched(let source): keys[source]
            }
        }
        switch verifier.verify(bytes.span, keys: sets) {
        case .verified(let token):
            let terms = issuers[token.issuerIndex]
            let print = fingerprint.flatMap { $0.isEmpty ? nil : $0 }
            if let refusal = terms.issuer.refusal(of: token, at: unixTime, fingerprint: print) {
                return (.invalid, "token: of issuer \(terms.issuer.name), refused: \(refusal)")
            }
            let claims = AccessClaims(issuer: token.issuerIndex, claims: token.claims)
            return (.valid(claims), "token: valid, of issuer \(terms.issuer.name)")
        case .refused(let refusal, let issuer):
            let name = issuer.map { "of issuer \(issuers[$0].issuer.name), " } ?? ""
            return (.invalid, "token: \(name)refused: \(refusal)")
        case .unavailable(let issuer):
            return (
                .unavailable,
                "token: of issuer \(issuers[issuer].issuer.name), whose keys are not at hand here"
            )
        }
    }
}
