internal import Configuration
internal import Identity
internal import Rules
internal import Wire

/// What is known of a request's token. Holds until the next turn at most: a cached one may go.
enum TokenFinding {
    case none
    case valid(Borrowed<CachedToken>)
    case invalid(TokenRefusal)
    /// Nobody can tell: the issuer's keys are not at hand, or too much else has to be checked.
    case unavailable
    /// The issuer's keys are being fetched; `decide` is called again.
    case suspended

    /// As access rules see it.
    var forRules: AccessToken {
        switch self {
        case .none: .none
        case .valid(let entry): entry.use { $0.forRules }
        case .invalid: .invalid
        case .unavailable, .suspended: .unavailable
        }
    }
}

/// What a worker has for tokens.
struct TokenDesk {
    private let ownCache: TokenCache
    /// For use without counting: looked at for every request.
    let cache: Borrowed<TokenCache>
    var faults: SignatureFaults
    var keys = TokenKeys.none
    var sources: [KeySource: KeySourceState] = [:]
    /// Exchanges that wait for keys, and for which; some may be over.
    var waiting: [(exchange: Borrowed<Exchange>, source: KeySource)] = []
    /// The last token that was verified by an older configuration.
    var passing: CachedToken?
    /// Of the exchange that is being decided, if it is valid.
    var deciding: Borrowed<CachedToken>?
    /// Until when there is no other line in the log about each reason.
    var quietUntil: [TokenRefusal: Int64] = [:]

    static let waitingMax = 128
    /// How long a request waits for keys.
    static let patience: Int64 = 1_000_000_000

    init(_ system: System) {
        ownCache = TokenCache(key: system.random())
        cache = Borrowed(ownCache)
        faults = SignatureFaults(key: system.random())
    }
}

/// Tokens of requests: found, verified once, checked for each request, and kept from servers.
extension Worker {
    /// Looks at the request's token. The configuration has issuers.
    func findToken(_ exchange: Exchange, _ generation: Generation) -> TokenFinding {
        let head = exchange.head
        guard head.authorization >= 0 else { return .none }
        guard !head.hasSeveralAuthorizations else { return refused(.severalFields, exchange) }
        guard let value = exchange.request.headers.value(at: head.authorization),
            let connection = exchange.downstream.connection
        else { return .none }
        guard let bytes = value.bearerToken else { return .none }
        return connection.use { connection in
            if isCurrent(generation), let entry = known(bytes, connection) {
                return check(entry, exchange, connection, generation)
            }
            return verify(bytes, exchange, connection, generation)
        }
    }

    /// The cache is of the present configuration.
    private func isCurrent(_ generation: Generation) -> Bool { generation === self.generation }

    private func known(
        _ bytes: ByteView, _ connection: DownstreamConnection
    ) -> Borrowed<CachedToken>? {
        tokens.cache.use { cache in
            if let entry = connection.tokenMemo.find(bytes, in: cache) { return entry }
            guard let entry = cache.find(bytes) else { return nil }
            connection.tokenMemo.remember(entry, in: cache)
            return entry
        }
    }

    /// The moment and the certificate; the rest was checked when the token came in.
    @inline(__always)
    private func check(
        _ entry: Borrowed<CachedToken>, _ exchange: Exchange, _ connection: DownstreamConnection,
        _ generation: Generation
    ) -> TokenFinding {
        let now = workspace.system.unixTime()
        if entry.use({ !$0.isBound && $0.window.contains(now) }) { return .valid(entry) }
        let refusal = entry.use { entry in
            generation.snapshot.tokens.issuers[entry.token.issuerIndex].issuer.refusal(
                of: entry.token, at: now, fingerprint: connection.peerIdentity?.fingerprint)
        }
        guard let refusal else { return .valid(entry) }
        // Also an expired one stays until others need its place: thrown out, it would have its
        // signature checked again each time that it is sent.
        return refused(refusal, exchange)
    }

    /// Counted, and in the log at most once a second for each reason.
    private func refused(_ refusal: TokenRefusal, _ exchange: Exchange) -> TokenFinding {
        workspace.counters.add(.tokensRefused)
        if workspace.now >= tokens.quietUntil[refusal] ?? .min {
            tokens.quietUntil[refusal] = workspace.now + Self.quietNanoseconds
            let who = exchange.downstream.connection?.use { $0.describe() } ?? ""
            workspace.log.write(.notice, "token refused \(who) reason=\"\(refusal)\"")
        }
        return .invalid(refusal)
    }

    // MARK: Tokens that are not known

    private func verify(
        _ bytes: ByteView, _ exchange: Exchange, _ connection: DownstreamConnection,
        _ generation: Generation
    ) -> TokenFinding {
        if bytes.contains(UInt8(ascii: " ")) || bytes.contains(UInt8(ascii: ",")) {
            return refused(.severalTokens, exchange)
        }
        guard tokens.faults.allows(connection.peer, at: workspace.now) else {
            workspace.counters.add(.tokensThrottled)
            return .unavailable
        }
        let terms = generation.snapshot.tokens
        switch bytes.use({ terms.verifier.verify($0, keys: generation.keySets) }) {
        case .verified(let token):
            let issuer = terms.issuers[token.issuerIndex]
            workspace.counters.add(.tokensVerified)
            let text = bytes.use { bytes in bytes.indices.map { bytes[$0] } }
            let made = CachedToken(text, token, by: issuer)
            guard isCurrent(generation) else {
                // For the cache it is not: that is of the present configuration.
                tokens.passing = made
                return check(Borrowed(made), exchange, connection, generation)
            }
            let entry = tokens.cache.use { cache in
                let entry = cache.insert(made)
                connection.tokenMemo.remember(entry, in: cache)
                return entry
            }
            return check(entry, exchange, connection, generation)
        case .refused(let refusal, let issuer):
            if refusal == .signature { tokens.faults.count(connection.peer, at: workspace.now) }
            if refusal.isForWantOfKey, let issuer {
                return wait(bytes, refusal, exchange, (issuer, generation))
            }
            return refused(refusal, exchange)
        case .unavailable(let issuer):
            return wait(bytes, nil, exchange, (issuer, generation))
        }
    }

    // MARK: Keys that are not at hand

    /// Asks for newer keys, once, and lets a bounded number of requests wait for them.
    private func wait(
        _ bytes: ByteView, _ refusal: TokenRefusal?, _ exchange: Exchange,
        _ issuer: (index: Int, generation: Generation)
    ) -> TokenFinding {
        let terms = issuer.generation.snapshot.tokens.issuers[issuer.index]
        guard case .fetched(let source) = terms.keys else {
            return refusal.map { refused($0, exchange) } ?? .unavailable
        }
        let keyID = bytes.use { (try? CompactToken(parsing: $0))?.header.keyID } ?? ""
        let name = Array(keyID.utf8)
        if let refusal,
            tokens.sources[source, default: KeySourceState()].isUnknown(name, at: workspace.now)
        {
            return refused(refusal, exchange)
        }
        if exchange.hasWaitedForKeys { return .unavailable }
        tokens.sources[source, default: KeySourceState()].willAsk(for: name)
        tokens.keys.requests.ask(for: source)
        if tokens.waiting.count >= TokenDesk.waitingMax {
            tokens.waiting.removeAll { !$0.exchange.use { $0.waitsForKeys } }
        }
        guard tokens.waiting.count < TokenDesk.waitingMax else { return .unavailable }
        tokens.waiting.append((Borrowed(exchange), source))
        exchange.waitsForKeys = true
        exchange.decideBy = workspace.now &+ TokenDesk.patience
        workspace.timers.move(exchange.timer, to: nextDeadline(exchange))
        return .suspended
    }

    /// Fetches have ended: sets are swapped, and who waited is decided.
    func install(_ keys: TokenKeys) {
        var fetched: Set<KeySource> = []
        for (source, entry) in keys.entries
        where entry.fetches != tokens.keys.entries[source]?.fetches ?? 0 {
            tokens.sources[source, default: KeySourceState()].fetched(entry, at: workspace.now)
            fetched.insert(source)
        }
        tokens.sources = tokens.sources.filter { keys.entries[$0.key] != nil }
        tokens.keys = keys
        if let generation { adoptKeys(generation) }
        for old in oldGenerations { old.keySets = keySets(of: old.snapshot) }
        let waiting = tokens.waiting
        tokens.waiting = waiting.filter { !fetched.contains($0.source) }
        for waiter in waiting where fetched.contains(waiter.source) {
            waiter.exchange.use { if $0.waitsForKeys { keysWaitEnded($0) } }
        }
    }

    /// Verified tokens stay while the issuers and their keys are the same.
    func adoptKeys(_ generation: Generation, after earlier: Generation? = nil) {
        let sets = keySets(of: generation.snapshot)
        let before = earlier ?? generation
        let isSame =
            before.snapshot.tokens.issuers == generation.snapshot.tokens.issuers
            && before.keySets.map { $0?.digest } == sets.map { $0?.digest }
        if !isSame { tokens.cache.use { $0.removeAll() } }
        generation.keySets = sets
    }

    private func keySets(of snapshot: Snapshot) -> [KeySet?] {
        snapshot.tokens.issuers.map { issuer in
            switch issuer.keys {
            case .fixed(let set): set
            case .fetched(let source): tokens.keys.entries[source]?.set
            }
        }
    }

    func keysWaitEnded(_ exchange: Exchange) {
        exchange.waitsForKeys = false
        exchange.hasWaitedForKeys = true
        exchange.decideBy = 0
        guard exchange.phase == .deciding else { return }
        decide(exchange)
    }

    /// Decides on with the token that an exchange kept while it waited.
    func withHeldToken(of exchange: Exchange, _ body: () -> Void) {
        let held = exchange.heldToken
        exchange.heldToken = nil
        withExtendedLifetime(held) {
            tokens.deciding = held.map { Borrowed($0) }
            body()
            tokens.deciding = nil
        }
    }

    // MARK: What servers get

    /// Takes the token out of the request, unless it is valid and to be kept, and puts its claims
    /// in. The request was let in. False where memory ran out.
    func settleToken(_ exchange: Exchange, _ finding: TokenFinding) -> Bool {
        let entry: Borrowed<CachedToken>?
        switch finding {
        case .none: return true
        case .valid(let found): entry = found
        case .invalid, .unavailable, .suspended: entry = nil
        }
        if entry?.use({ $0.forwards }) != true { exchange.removeAuthorization() }
        return entry?.use { exchange.append($0.headers, workspace.blocks) } ?? true
    }
}

extension Exchange {
    fileprivate func removeAuthorization() {
        if head.hasSeveralAuthorizations {
            for index in (0..<request.headers.count).reversed()
            where request.headers.name(index).equals("authorization") {
                removeHeader(at: index)
            }
        } else {
            removeHeader(at: Int(head.authorization))
        }
    }

    private func removeHeader(at index: Int) {
        request.headers.remove(at: index)
        head.removed(at: index)
    }

    fileprivate func append(
        _ fields: [(name: [UInt8], value: [UInt8])], _ pool: BlockPool
    ) -> Bool {
        for field in fields {
            guard let name = arena.keep(field.name.span, from: pool),
                let value = arena.keep(field.value.span, from: pool),
                request.headers.append(name, value, in: &arena, from: pool)
            else { return false }
        }
        return true
    }
}

extension ByteView {
    /// What is behind the scheme (RFC 6750, 2.1), whose name has no case (RFC 9110, 11.1); nil for
    /// other schemes.
    var bearerToken: ByteView? {
        guard count > 7, self[6] == UInt8(ascii: " ") else { return nil }
        // "bearer" in lower case.
        let isBearer = use { $0.word(at: 0) >> 16 | 0x2020_2020_2020 == 0x6265_6172_6572 }
        guard isBearer else { return nil }
        var start = 7
        while start < count, self[start] == UInt8(ascii: " ") { start &+= 1 }
        return dropFirst(start)
    }
}
