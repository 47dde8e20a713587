internal import Configuration
internal import Identity
internal import Rules
internal import Wire

/// What decides where an exchange belongs, found once.
struct Affinity: BitwiseCopyable {
    /// Nil: nothing of it was there to be hashed.
    var hash: UInt64?
    /// What the client is told to send next time, as 16 hexadecimal digits; 0 is nothing.
    var cookie: UInt64 = 0
}

extension Worker {
    /// Hashes what the upstream's configuration names. Nothing is allocated: bytes are hashed where
    /// they lie.
    ///
    /// - token: valid, if there is one.
    func affinity(
        of exchange: Exchange, by sources: [HashSource], _ token: Borrowed<CachedToken>?
    ) -> Affinity {
        var affinity = Affinity()
        var hash = RequestHash()
        for source in sources {
            switch source.kind {
            case .header(let name): hashHeader(name, of: exchange, &hash)
            case .cookie(let cookie): hashCookie(cookie, of: exchange, &hash, &affinity)
            case .claim(let path):
                let claim = token?.use { $0.token.claims.affinityHash(at: path) }
                if let claim = claim ?? nil { hash.combine(claim) }
            case .peer, .source, .client: hashCaller(source.kind, of: exchange, &hash)
            }
            if source.isFinal, hash.value != nil { break }
        }
        affinity.hash = hash.value
        return affinity
    }

    private func hashHeader(_ name: [UInt8], of exchange: Exchange, _ hash: inout RequestHash) {
        RequestFieldsView(headers: exchange.request.headers).forEachValue(of: name.span) {
            hash.combine(XXH64.hash($0))
        }
    }

    private func hashCaller(
        _ kind: HashSource.Kind, of exchange: Exchange, _ hash: inout RequestHash
    ) {
        guard let connection = exchange.downstream.connection else { return }
        let found: UInt64? = connection.use { connection in
            switch kind {
            case .peer: return connection.caller.peer?.affinityHash
            case .client where exchange.isFromProxy:
                let fields = RequestFieldsView(headers: exchange.request.headers)
                return connection.client(fields).affinityHash
            default: return connection.caller.source.affinityHash
            }
        }
        if let found { hash.combine(found) }
    }

    // MARK: Cookies

    /// A client without the cookie gets one, unless it speaks gRPC: such clients keep none.
    private func hashCookie(
        _ cookie: AffinityCookie, of exchange: Exchange, _ hash: inout RequestHash,
        _ affinity: inout Affinity
    ) {
        var found: UInt64?
        let fields = RequestFieldsView(headers: exchange.request.headers)
        fields.forEachValue(of: "cookie".utf8.span) { crumb in
            guard found == nil, let range = crumb.cookie(cookie.name) else { return }
            found = XXH64.hash(crumb.extracting(range))
        }
        if found == nil, cookie.lifetime != nil, !exchange.isGRPC {
            affinity.cookie = workspace.system.random() | 1
            found = XXH64.hash(Self.digits(affinity.cookie).span)
        }
        if let found { hash.combine(found) }
    }

    private static func digits(_ number: UInt64) -> InlineArray<16, UInt8> {
        InlineArray { index in
            let digit = UInt8(truncatingIfNeeded: number &>> UInt64(60 &- 4 &* index)) & 15
            return digit < 10 ? UInt8(ascii: "0") &+ digit : UInt8(ascii: "a") &+ digit &- 10
        }
    }

    /// Tells the client where it belongs.
    func appendCookie(_ exchange: Exchange, _ attempt: Attempt) {
        guard let sources = attempt.pool?.use({ $0.terms.balance.hash }) else { return }
        for source in sources {
            guard case .cookie(let cookie) = source.kind, let lifetime = cookie.lifetime else {
                continue
            }
            let isSecure = exchange.downstream.connection?.use { $0.tls != nil } ?? false
            let digits = Self.digits(exchange.affinity.cookie)
            var value = cookie.name + [UInt8(ascii: "=")]
            for index in digits.indices { value.append(digits[index]) }
            value += Array("; Path=".utf8) + cookie.path
            if lifetime > 0 { value += Array("; Max-Age=\(lifetime)".utf8) }
            value += Array("; HttpOnly; SameSite=Lax".utf8)
            if isSecure { value += Array("; Secure".utf8) }
            var builder = HeaderBuilder(attempt, workspace.blocks)
            for index in 0..<attempt.outgoingHeaders.count {
                builder.append(attempt.outgoingHeaders, at: index)
            }
            builder.append("set-cookie", value)
            if builder.isWhole { attempt.outgoingHeaders = builder.block }
            return
        }
    }
}
