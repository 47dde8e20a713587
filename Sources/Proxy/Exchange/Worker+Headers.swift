internal import Rules
internal import Wire

/// What is changed in header blocks on their way: as little as the protocol and the route ask for.
extension Worker {
    /// The request's header block for an attempt; nil where memory ran out. Shares the bytes of the
    /// request's own block, which stays as it came for other attempts.
    func requestHeaders(_ exchange: Exchange, _ attempt: Attempt) -> HeaderBlock? {
        let head = exchange.head
        let forwards = self.forwards(exchange)
        let certificate = exchange.downstream.connection?.use { $0.certificateField }
        let attaches = attempt.pool?.use { $0.attachesToken } ?? false
        let isAsItCame =
            exchange.deadline == 0 && exchange.times.tryEndsAt == .max && head.host < 0
            && keepsScheme(exchange, attempt) && !forwards
            && !attaches && certificate == nil && attempt.previous == 0
            && (!exchange.isGRPC || head.te >= 0)
            && exchange.route?.use { $0.rewrite == nil && $0.requestHeaders == nil } == true
        if isAsItCame { return exchange.request.headers }
        var builder = HeaderBuilder(attempt, workspace.blocks)
        appendPseudo(exchange, attempt, to: &builder)
        let isRepeated = exchange.isGRPC && attempt.previous > 0
        if exchange.deadline > 0 || exchange.times.tryEndsAt < .max, exchange.isGRPC {
            let deadline = exchange.deadline > 0 ? exchange.deadline : .max
            let end = min(deadline, exchange.times.tryEndsAt)
            builder.appendTimeout(end - workspace.now)
        }
        let edits = exchange.route?.use { $0.requestHeaders }
        let headers = exchange.request.headers
        for index in 0..<headers.count {
            let place = Int16(truncatingIfNeeded: index)
            if place == head.host || place == head.grpcTimeout && exchange.isGRPC { continue }
            if headers.name(index).isPseudo { continue }
            if let edits, edits.drops(headers.name(index)) { continue }
            if attaches, headers.name(index).equals("authorization") { continue }
            if isRepeated, headers.name(index).equals(PreviousAttempts.name) { continue }
            if exchange.isFromProxy, headers.name(index).use(HeaderToken.isForwarding) { continue }
            builder.append(headers, at: index)
        }
        if forwards { builder.appendForwarding(exchange, edits) }
        if let certificate { builder.append(ClientCertificateField.name, certificate) }
        if attaches { appendToken(attempt, to: &builder) }
        if exchange.isGRPC, head.te < 0 { builder.append("te", ByteView("trailers")) }
        if isRepeated {
            let count = PreviousAttempts.count(of: headers) + Int(attempt.previous)
            builder.append(PreviousAttempts.name, Array("\(count)".utf8), isIndexed: false)
        }
        if let edits { builder.append(edits, without: attaches ? "authorization" : "") }
        return builder.isWhole ? builder.block : nil
    }

    private func appendToken(_ attempt: Attempt, to builder: inout HeaderBuilder) {
        attempt.pool?.use { pool in
            if let token = pool.token { builder.append("authorization", token.value) }
        }
    }

    /// True where both sides are cleartext, or neither: the scheme is each connection's own.
    private func keepsScheme(_ exchange: Exchange, _ attempt: Attempt) -> Bool {
        let isSecure = exchange.downstream.connection?.use { $0.tls != nil }
        return isSecure == attempt.pool?.use { $0.tls != nil }
    }

    private func appendPseudo(
        _ exchange: Exchange, _ attempt: Attempt, to builder: inout HeaderBuilder
    ) {
        let head = exchange.head
        let headers = exchange.request.headers
        let rewrite = exchange.route?.use { $0.rewrite }
        if let method = headers.value(at: head.method) { builder.append(":method", method) }
        let isSecure = attempt.pool?.use { $0.tls != nil } ?? false
        builder.append(":scheme", isSecure ? ByteView("https") : ByteView("http"))
        if let hostname = rewrite?.hostname {
            builder.append(":authority", hostname)
        } else if let authority = headers.value(at: head.authority) ?? headers.value(at: head.host)
        {
            builder.append(":authority", authority)
        }
        guard let path = headers.value(at: head.path) else { return }
        guard let change = rewrite?.path else { return builder.append(":path", path) }
        builder.append(":path", path.use { rewritten($0, change) })
    }

    /// Sets what goes to the client: the response's own block, or one with the route's edits.
    func editResponseHeaders(_ exchange: Exchange, _ attempt: Attempt) {
        attempt.outgoingHeaders = edited(attempt.response.headers, exchange, attempt)
        if exchange.affinity.cookie != 0 { appendCookie(exchange, attempt) }
    }

    /// A response's block with the edits of the exchange's route, if it has any.
    func edited(
        _ headers: HeaderBlock, _ exchange: Exchange, _ attempt: Attempt
    ) -> HeaderBlock {
        guard let edits = exchange.route?.use({ $0.responseHeaders }) else { return headers }
        var builder = HeaderBuilder(attempt, workspace.blocks)
        for index in 0..<headers.count where !edits.drops(headers.name(index)) {
            builder.append(headers, at: index)
        }
        builder.append(edits)
        return builder.isWhole ? builder.block : headers
    }
}

/// How often a call was tried before, for its server (gRFC A6). A client that tries again by itself
/// says so, too: both are one number.
private enum PreviousAttempts {
    static var name: StaticString { "grpc-previous-rpc-attempts" }

    static func count(of headers: HeaderBlock) -> Int {
        for index in 0..<headers.count where headers.name(index).equals(name) {
            let count = Int(headers.value(index).text) ?? 0
            return min(max(count, 0), 1_000_000)
        }
        return 0
    }
}

/// Builds a header block in an attempt's arena.
struct HeaderBuilder {
    private(set) var block = HeaderBlock()
    /// False where memory ran out on the way.
    private(set) var isWhole = true
    private let attempt: Attempt
    private let pool: BlockPool

    init(_ attempt: Attempt, _ pool: BlockPool) {
        self.attempt = attempt
        self.pool = pool
    }

    mutating func append(_ other: HeaderBlock, at index: Int) {
        isWhole = block.append(from: other, at: index, in: &attempt.arena, pool) && isWhole
    }

    mutating func append(_ name: StaticString, _ value: ByteView, isIndexed: Bool = true) {
        let name = ByteView(name)
        isWhole =
            block.append(name, value, isIndexed: isIndexed, in: &attempt.arena, from: pool)
            && isWhole
    }

    /// `value` with `suffix` behind it; without a value the suffix less its first two bytes.
    mutating func append(_ name: StaticString, _ value: ByteView, then suffix: [UInt8]) {
        let start = value.isEmpty ? 2 : 0
        let joined = value.use {
            attempt.arena.join($0, suffix.span.extracting(start...), from: pool)
        }
        guard let joined else { return isWhole = false }
        append(name, joined)
    }

    /// Two values of a field as one.
    mutating func join(_ first: ByteView, _ second: ByteView) -> ByteView {
        let separated = first.use { attempt.arena.join($0, ", ".utf8.span, from: pool) }
        guard let separated,
            let joined = separated.use({ first in
                second.use { attempt.arena.join(first, $0, from: pool) }
            })
        else {
            isWhole = false
            return first
        }
        return joined
    }

    mutating func append(_ name: StaticString, _ value: [UInt8], isIndexed: Bool = true) {
        guard let value = attempt.arena.keep(value.span, from: pool) else { return isWhole = false }
        append(name, value, isIndexed: isIndexed)
    }

    /// What is left, rounded down; never indexed: no two requests have the same, and each would
    /// push a useful entry out of the server's table.
    mutating func appendTimeout(_ nanoseconds: Int64) {
        let encoded = GRPCTimeout.encode(nanoseconds)
        let bytes = encoded.bytes.span.extracting(0..<encoded.count)
        guard let value = attempt.arena.keep(bytes, from: pool) else { return isWhole = false }
        append("grpc-timeout", value, isIndexed: false)
    }

    mutating func append(_ edits: HeaderEdits, without name: StaticString = "") {
        let name = ByteView(name)
        for field in edits.set where !name.equals(field.name) { append(field) }
        for field in edits.add where !name.equals(field.name) { append(field) }
    }

    private mutating func append(_ field: HeaderEdits.Field) {
        guard let name = attempt.arena.keep(field.name.span, from: pool),
            let value = attempt.arena.keep(field.value.span, from: pool)
        else { return isWhole = false }
        isWhole = block.append(name, value, in: &attempt.arena, from: pool) && isWhole
    }
}

extension ByteView {
    var isPseudo: Bool { !isEmpty && self[0] == UInt8(ascii: ":") }

    fileprivate func equals(_ bytes: [UInt8]) -> Bool {
        guard count == bytes.count else { return false }
        for index in 0..<count where self[index] != bytes[index] { return false }
        return true
    }
}

extension HeaderEdits {
    /// True for fields that are removed, or that another value is set for.
    func drops(_ name: ByteView) -> Bool {
        remove.contains { name.equals($0) } || set.contains { name.equals($0.name) }
    }
}

extension Redirect {
    /// The absolute URL that the client is sent to (RFC 9110, 10.2.2).
    func location(of exchange: Exchange) -> [UInt8] {
        let head = exchange.head
        let headers = exchange.request.headers
        let isSecure = exchange.downstream.connection?.use { $0.tls != nil } ?? false
        var location = scheme ?? Array((isSecure ? "https" : "http").utf8)
        location += Array("://".utf8)
        let authority = headers.value(at: head.authority) ?? headers.value(at: head.host)
        let host = authority?.use { authority -> [UInt8] in
            let range = Authority.check(authority) ?? 0..<authority.count
            // Without its port where the redirect names another host, scheme or port.
            let keepsPort = port == nil && hostname == nil && scheme == nil
            let end = keepsPort ? authority.count : range.upperBound
            return (0..<end).map { authority[$0] }
        }
        location += hostname ?? host ?? []
        if let port { location += Array(":\(port)".utf8) }
        guard let asked = headers.value(at: head.path) else { return location }
        asked.use { asked in
            if let path {
                path.append(rewriting: asked, to: &location)
            } else {
                for index in asked.indices { location.append(asked[index]) }
            }
        }
        return location
    }
}

private func rewritten(_ path: Span<UInt8>, _ change: Rewrite.PathRewrite) -> [UInt8] {
    var result: [UInt8] = []
    change.append(rewriting: path, to: &result)
    return result
}
