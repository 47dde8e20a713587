internal import Configuration
internal import Rules
internal import Wire

/// Judges a request whose header block is whole. What is malformed by RFC 9113, 8.2 and 8.3, never
/// comes here: `MessageCheck` has found it.
enum RequestCheck {
    enum Verdict {
        case fine(serviceEnd: Int)
        case refused(ProxyError)
    }

    static func check(
        _ exchange: Exchange, _ listener: ListenerTerms, _ hop: Borrowed<HopMarker>
    ) -> Verdict {
        let head = exchange.head
        let headers = exchange.request.headers
        if let fault = head.fault { return .refused(error(fault)) }
        guard let method = headers.value(at: head.method) else {
            return malformed("the request has no :method")
        }
        if method.equals("CONNECT") {
            return .refused(ProxyError(.unsupportedMethod, .downstream, "CONNECT is not offered"))
        }
        guard let scheme = headers.value(at: head.scheme),
            fits(scheme, isSecure: listener.tls != nil, isFromProxy: exchange.isFromProxy)
        else {
            return malformed("the :scheme is not that of the connection")
        }
        if let words = authorityFault(head, headers) { return malformed(words) }
        if head.via >= 0, listener.intake.refusesLoops, hop.use({ $0.isIn(headers) }) {
            let words = "the request has passed this proxy before"
            return .refused(ProxyError(.loop, .weir, words))
        }
        return path(exchange, listener, method)
    }

    /// A trusted proxy may have taken TLS off or put it on, and left the client's own scheme.
    private static func fits(_ scheme: ByteView, isSecure: Bool, isFromProxy: Bool) -> Bool {
        if scheme.equals(isSecure ? "https" : "http") { return true }
        return isFromProxy && scheme.equals(isSecure ? "http" : "https")
    }

    private static func error(_ fault: RequestHead.Fault) -> ProxyError {
        switch fault {
        case .headerList:
            ProxyError(
                .headersTooLarge, .downstream, "the request's headers are too large",
                limit: .headerList)
        case .headerFields:
            ProxyError(
                .headersTooLarge, .downstream, "the request has too many header fields",
                limit: .headerFields)
        case .path:
            ProxyError(.pathTooLong, .downstream, "the request's path is too long", limit: .path)
        case .repeatedContentType: ProxyError(.malformed, .downstream, "content-type is repeated")
        case .repeatedTimeout: ProxyError(.malformed, .downstream, "grpc-timeout is repeated")
        }
    }

    private static func malformed(_ words: StaticString) -> Verdict {
        .refused(ProxyError(.malformed, .downstream, "\(words)"))
    }

    /// RFC 9113, 8.3.1: `host` and `:authority` that differ are malformed.
    private static func authorityFault(_ head: RequestHead, _ headers: HeaderBlock) -> StaticString?
    {
        let host = headers.value(at: head.host)
        guard let authority = headers.value(at: head.authority) ?? host else {
            return "the request has no :authority"
        }
        guard authority.use({ Authority.check($0) != nil }) else {
            return "the :authority is not a host with or without a port"
        }
        guard let host, head.authority >= 0 else { return nil }
        let isSame = authority.use { authority in host.use { Authority.isSame(authority, $0) } }
        return isSame ? nil : "host differs from :authority"
    }

    private static func path(
        _ exchange: Exchange, _ listener: ListenerTerms, _ method: ByteView
    ) -> Verdict {
        guard let path = exchange.request.headers.value(at: exchange.head.path) else {
            return malformed("the request has no :path")
        }
        switch path.use(RequestPath.check) {
        case .grpc(let serviceEnd): return .fine(serviceEnd: serviceEnd)
        case .plain:
            if !exchange.isGRPC || listener.intake.paths == .relaxed { return .fine(serviceEnd: 0) }
            let words = "the path is not /Service/Method in gRPC's grammar"
            return .refused(ProxyError(.badPath, .downstream, words))
        case .refused(let refusal):
            if path.equals("*"), method.equals("OPTIONS") { return .fine(serviceEnd: 0) }
            return .refused(ProxyError(.badPath, .downstream, "\(refusal.words)"))
        }
    }
}

extension HopMarker {
    /// Whether any of the block's `via` has it.
    func isIn(_ headers: HeaderBlock) -> Bool {
        (0..<headers.count).contains { headers.name($0).equals("via") && isIn(headers.value($0)) }
    }
}

/// The view of a request's fields that routing gets.
struct RequestFieldsView: RequestFields {
    let headers: HeaderBlock

    func forEachValue(of name: Span<UInt8>, _ body: (Span<UInt8>) -> Void) {
        for index in 0..<headers.count {
            let isNamed = headers.name(index).use { candidate in
                guard candidate.count == name.count else { return false }
                for position in name.indices where candidate[position] != name[position] {
                    return false
                }
                return true
            }
            if isNamed { headers.value(index).use(body) }
        }
    }
}
