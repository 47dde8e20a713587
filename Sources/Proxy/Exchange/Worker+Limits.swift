internal import Configuration
internal import Rules
internal import Wire

/// Rate limits: those of the listener that count by source before anything is asked about peer and
/// token, those by identity once access is granted, and the route's. The first that is exceeded
/// answers; what the limits before it took is not given back.
extension Worker {
    /// Before peer and token are looked at. True where the exchange was answered.
    func isOverFirstLimit(_ exchange: Exchange, _ generation: Borrowed<Generation>) -> Bool {
        exchange.downstream.connection?.use { connection in
            connection.listener.borrowedTerms.use { terms in
                let positions = terms.rateLimits.first
                return isOverLimit(exchange, generation, positions, .none)
            }
        } ?? false
    }

    /// Of those whom the access rules let in.
    func isOverIdentityLimit(
        _ exchange: Exchange, _ generation: Borrowed<Generation>, _ token: TokenFinding
    ) -> Bool {
        exchange.downstream.connection?.use { connection in
            connection.listener.borrowedTerms.use { terms in
                let positions = terms.rateLimits.identified
                return isOverLimit(exchange, generation, positions, token)
            }
        } ?? false
    }

    func isOverRouteLimit(
        _ exchange: Exchange, _ generation: Borrowed<Generation>, _ token: TokenFinding
    ) -> Bool {
        exchange.route?.use {
            isOverLimit(exchange, generation, $0.rateLimits.positions, token)
        } ?? false
    }

    private func isOverLimit(
        _ exchange: Exchange, _ generation: Borrowed<Generation>, _ positions: [Int],
        _ token: TokenFinding
    ) -> Bool {
        if positions.isEmpty { return false }
        return generation.use { generation in
            for index in positions.indices {
                let limiter = generation.limiters[positions[index]]
                let outcome = limiter.use { limiter in
                    limiter.take(key(exchange, limiter, token), at: workspace.now)
                }
                guard case .refused(let wait) = outcome else {
                    limiter.use { $0.count(.allowed) }
                    continue
                }
                if limiter.use({ isEnforced($0, exchange) }) {
                    limiter.use { answerOverLimit(exchange, $0, wait) }
                    return true
                }
            }
            return false
        }
    }

    private func key(
        _ exchange: Exchange, _ limiter: RateLimiter, _ token: TokenFinding
    ) -> UInt64 {
        guard !limiter.limit.parts.isEmpty,
            let path = exchange.request.headers.value(at: exchange.head.path),
            let (caller, fields) = caller(of: exchange, token)
        else { return 0 }
        return path.use { path in
            let request = RateLimitedRequest(path: path, route: exchange.route?.object)
            return limiter.limit.key(of: request, caller, fields)
        }
    }

    /// Who is held to a limit, and by what.
    func caller(
        of exchange: Exchange, _ token: TokenFinding
    ) -> (AccessCaller, RequestFieldsView)? {
        let fields = RequestFieldsView(headers: exchange.request.headers)
        return exchange.downstream.connection?.use { connection in
            var caller = connection.caller
            if exchange.isFromProxy { caller.client = connection.client(fields) }
            caller.token = token.forRules
            return (caller, fields)
        }
    }

    /// Counts a request that is over the limit. False where that is only noted.
    func isEnforced(_ limiter: RateLimiter, _ exchange: Exchange) -> Bool {
        let name = limiter.limit.name
        guard limiter.limit.isDryRun else {
            limiter.count(.limited)
            exceeded(.rateLimits, "name=\(name)")
            return true
        }
        limiter.count(.wouldLimit)
        if workspace.now >= limiter.quietUntil {
            limiter.quietUntil = workspace.now + Self.quietNanoseconds
            let who = exchange.downstream.connection?.use { $0.describe() } ?? ""
            workspace.log.write(.notice, "rate limit would refuse name=\(name) \(who)")
        }
        return false
    }

    func answerOverLimit(_ exchange: Exchange, _ limiter: RateLimiter, _ wait: Int64) {
        exchange.pushback = wait
        let words = "over the rate limit \(limiter.limit.name)"
        answer(exchange, ProxyError(.rateLimited, .downstream, words, limit: .rateLimits))
    }

    // MARK: What callers are told of when to come back

    /// Behind an answer of Weir's own, where it has an opinion: gRPC's milliseconds (gRFC A6), of
    /// which a negative number says not to, or HTTP's seconds (RFC 9110, 10.2.3).
    func pushbackField(_ exchange: Exchange) -> (name: StaticString, value: [UInt8])? {
        // A breaker that callers answer with more attempts would not let anything recover.
        if exchange.account.end.reason == .overLimit { exchange.pushback = -1 }
        if exchange.pushback == 0 { return nil }
        if exchange.isGRPC {
            let wait = exchange.pushback < 0 ? -1 : (exchange.pushback + 999_999) / 1_000_000
            return ("grpc-retry-pushback-ms", Array("\(wait)".utf8))
        }
        if exchange.pushback < 0 { return nil }
        let wait = (exchange.pushback + 999_999_999) / 1_000_000_000
        return ("retry-after", Array("\(wait)".utf8))
    }

    // MARK: Reloads

    /// Of a new snapshot, by position. Those whose buckets stay keep what they hold and counted.
    func installLimiters(_ installation: Installation) {
        let limits = installation.snapshot.rateLimits
        limiters = limits.indices.map { index in
            let table = installation.buckets[index]
            guard let known = limiters.first(where: { $0.table === table }) else {
                return RateLimiter(limits[index], table, workers: loads.count)
            }
            known.update(limits[index], at: workspace.now)
            return known
        }
        workspace.counters.rateLimits.replace(limiters.map(\.counts))
    }
}

extension RateLimiter {
    func count(_ word: RateLimitCounts.Word) { counts.block.add(1, at: word.rawValue) }
}
