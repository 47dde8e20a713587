internal import Configuration
internal import Rules
internal import Wire

/// Rate limits that a service decides (protos/ratelimit.proto): the exchange waits in `deciding`,
/// for as long as the limit's `timeout`, and the question is a call of Weir's own.
extension Worker {
    /// True where the exchange was answered, or waits for an answer of the service.
    func waitsForLimitService(
        _ exchange: Exchange, _ generation: Borrowed<Generation>, _ token: TokenFinding
    ) -> Bool {
        let position = exchange.route?.use { $0.rateLimits.service } ?? -1
        guard position >= 0 else { return false }
        let limiter = generation.use { $0.limiters[position].object }
        guard let service = limiter.limit.service else { return false }
        let pool = generation.use { $0.borrowedPools[service.upstream].object }
        var request = OwnCall.Request(
            path: RateLimitMessage.path, authority: Array(pool.name.utf8))
        request.isGRPC = true
        request.timeout = service.timeout
        request.body = RateLimitMessage.request(
            domain: service.domain, entries(exchange, limiter.limit, token))
        let own = OwnCall(
            .limit(Borrowed(exchange)), .whole(bytesMax: RateLimitMessage.responseBytesMax))
        exchange.limitCall = call(request, pool, own)
        if case .valid(let entry) = token { exchange.heldToken = entry.object }
        return true
    }

    private func entries(
        _ exchange: Exchange, _ limit: RateLimit, _ token: TokenFinding
    ) -> [RateLimitMessage.Entry] {
        guard let path = exchange.request.headers.value(at: exchange.head.path),
            let (caller, fields) = caller(of: exchange, token)
        else { return [] }
        return path.use {
            limit.entries(path: $0, route: exchange.route?.object, caller, fields)
        }
    }

    /// The service has answered, or nobody will.
    func limitCallEnded(_ exchange: Exchange, _ end: OwnCall.End) {
        exchange.limitCall = nil
        withHeldToken(of: exchange) { goOn(exchange, after: end) }
    }

    private func goOn(_ exchange: Exchange, after end: OwnCall.End) {
        guard exchange.phase == .deciding, let route = exchange.route,
            let limiter = limiter(of: exchange), let service = limiter.limit.service
        else { return }
        let isAnswer = end.error == nil && end.status == 200 && end.grpcStatus == 0
        guard let response = isAnswer ? RateLimitMessage.response(end.body) : nil else {
            limiter.count(.failed)
            let place = "name=\(limiter.limit.name) upstream=\(serviceName(service, exchange))"
            warnRarely("a rate limit service gives no answer \(place)")
            guard service.deniesOnFailure, !limiter.limit.isDryRun else {
                return route.use { follow($0, exchange) }
            }
            let words = "the rate limit \(limiter.limit.name) cannot be asked now"
            return answer(exchange, ProxyError(.limitUnknown, .weir, words))
        }
        if response.code == .overLimit, isEnforced(limiter, exchange) {
            add(response.responseFields, to: exchange)
            return answerOverLimit(exchange, limiter, response.wait)
        }
        if response.code == .ok { limiter.count(.allowed) }
        add(response.responseFields, to: exchange)
        addToRequest(response.requestFields, exchange)
        route.use { follow($0, exchange) }
    }

    private func limiter(of exchange: Exchange) -> RateLimiter? {
        guard let position = exchange.route?.use({ $0.rateLimits.service }), position >= 0 else {
            return nil
        }
        return exchange.generation?.use { $0.limiters[position].object }
    }

    private func serviceName(_ service: RateLimit.Service, _ exchange: Exchange) -> String {
        exchange.generation?.use { $0.borrowedPools[service.upstream].object.name } ?? ""
    }

    /// The exchange ends before its question does.
    func cancelLimitCall(_ exchange: Exchange) {
        guard let call = exchange.limitCall else { return }
        exchange.limitCall = nil
        exchange.heldToken = nil
        cancel(call)
    }

    // MARK: What the service adds

    private func add(_ fields: [RateLimitMessage.Entry], to exchange: Exchange) {
        for field in fields where field.isAllowed {
            var added = exchange.addedFields
            append(field, to: &added, exchange)
            exchange.addedFields = added
        }
    }

    private func addToRequest(_ fields: [RateLimitMessage.Entry], _ exchange: Exchange) {
        for field in fields where field.isAllowed {
            append(field, to: &exchange.request.headers, exchange)
        }
    }

    private func append(
        _ field: RateLimitMessage.Entry, to block: inout HeaderBlock, _ exchange: Exchange
    ) {
        let blocks = workspace.blocks
        guard let name = exchange.arena.keep(field.key.span, from: blocks),
            let value = exchange.arena.keep(field.value.span, from: blocks)
        else { return }
        _ = block.append(name, value, in: &exchange.arena, from: blocks)
    }

    /// To a server's response.
    func appendAddedFields(_ exchange: Exchange, _ attempt: Attempt) {
        var builder = HeaderBuilder(attempt, workspace.blocks)
        let headers = attempt.outgoingHeaders
        for index in 0..<headers.count { builder.append(headers, at: index) }
        guard builder.isWhole else { return }
        var block = builder.block
        appendAddedFields(exchange, to: &block, attempt)
        attempt.outgoingHeaders = block
    }

    /// Behind the fields of a block.
    func appendAddedFields(_ exchange: Exchange, to block: inout HeaderBlock, _ attempt: Attempt) {
        for index in 0..<exchange.addedFields.count {
            _ = block.append(
                exchange.addedFields.name(index), exchange.addedFields.value(index),
                in: &attempt.arena, from: workspace.blocks)
        }
    }
}

extension RateLimitMessage.Entry {
    private static let valueBytesMax = 1_024

    /// A field in HTTP/2's form (RFC 9113, 8.2.1) that is not the protocol's, nor what requests are
    /// judged by.
    fileprivate var isAllowed: Bool {
        guard !key.isEmpty, key.count <= 100, value.count <= Self.valueBytesMax,
            key.allSatisfy({ $0.isLowercaseNameByte }),
            value.allSatisfy({ $0 == 0x09 || $0 >= 0x20 && $0 != 0x7f }),
            value.first != 0x20, value.last != 0x20, value.first != 0x09, value.last != 0x09
        else { return false }
        let token = HeaderToken.of(key.span)
        return token == .other && !key.starts(with: "grpc-".utf8)
    }
}

extension UInt8 {
    fileprivate var isLowercaseNameByte: Bool {
        switch self {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
            UInt8(ascii: "-"), UInt8(ascii: "_"):
            true
        default: false
        }
    }
}
