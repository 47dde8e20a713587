internal import Configuration
internal import Rules
internal import Wire

/// What servers are told of the client: `x-forwarded-for`, `-proto` and `-host`.
extension Worker {
    /// Whether its listener tells them.
    func forwards(_ exchange: Exchange) -> Bool {
        exchange.downstream.connection?.use { connection in
            connection.listener.borrowedTerms.use { $0.intake.trustedProxies != nil }
        } ?? false
    }
}

extension HeaderBuilder {
    /// What a trusted proxy said, with its own address behind; otherwise what Weir itself sees. A
    /// field that the route changes is the route's.
    mutating func appendForwarding(_ exchange: Exchange, _ edits: HeaderEdits?) {
        let head = exchange.head
        let headers = exchange.request.headers
        guard let connection = exchange.downstream.connection else { return }
        var said = Forwarding()
        if exchange.isFromProxy { said.read(headers) { join($0, $1) } }
        func isRoutes(_ name: StaticString) -> Bool { edits?.drops(ByteView(name)) == true }
        if !isRoutes("x-forwarded-for") {
            connection.use { append("x-forwarded-for", said.addresses, then: $0.forwarded) }
        }
        let scheme = said.scheme ?? headers.value(at: head.scheme)
        if let scheme, !isRoutes("x-forwarded-proto") { append("x-forwarded-proto", scheme) }
        let authority = headers.value(at: head.authority) ?? headers.value(at: head.host)
        if let host = said.host ?? authority, !isRoutes("x-forwarded-host") {
            append("x-forwarded-host", host)
        }
    }
}

/// What the fields of a proxy say; empty where they say nothing.
private struct Forwarding {
    var addresses = ByteView.empty
    var scheme: ByteView?
    var host: ByteView?

    mutating func read(_ headers: HeaderBlock, _ join: (ByteView, ByteView) -> ByteView) {
        for index in 0..<headers.count {
            let value = headers.value(index)
            switch headers.name(index).use(HeaderToken.of) {
            case .xForwardedFor: addresses = addresses.isEmpty ? value : join(addresses, value)
            case .xForwardedProto: scheme = scheme ?? value
            case .xForwardedHost: host = host ?? value
            default: break
            }
        }
    }
}
