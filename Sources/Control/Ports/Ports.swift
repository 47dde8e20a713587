internal import Configuration
internal import Proxy
internal import Wire

/// The ports of the process itself, opened and closed as configurations ask for them.
struct Ports {
    private let state: ProcessState
    private let inherited: InheritedSockets
    private var metrics: (address: SocketAddress, port: HTTPPort)?
    private var admin: (address: SocketAddress, port: HTTPPort)?

    init(_ state: ProcessState, _ inherited: InheritedSockets) {
        self.state = state
        self.inherited = inherited
    }

    /// Opens and closes what changed. Gives what could not be opened, in words; the others are.
    mutating func install(_ terms: TelemetryTerms) -> [String] {
        let state = state
        let pages = AdminPages(state: state, userID: Processors.userID)
        var failures: [String] = []
        if admin?.address != terms.admin {
            admin = nil
            admin = open(terms.admin, &failures) { pages.answer($0) }
        }
        // The last, as it says whether the process is ready.
        if metrics?.address != terms.metrics {
            metrics = nil
            metrics = open(terms.metrics, &failures) { MetricsPort.answer($0, state) }
        }
        return failures
    }

    /// The sockets of those that are open, by their addresses.
    var sockets: [(address: SocketAddress, socket: ListeningSocket)] {
        [metrics, admin].compactMap { $0 }.map { ($0.address, $0.port.socket) }
    }

    /// Accepts nothing more: whoever asks next is answered by a successor.
    func leave() {
        metrics?.port.leave()
        admin?.port.leave()
    }

    private func open(
        _ address: SocketAddress?, _ failures: inout [String],
        answer: @escaping @Sendable (HTTPRequest) -> HTTPResponse
    ) -> (SocketAddress, HTTPPort)? {
        guard let address else { return nil }
        do {
            let socket = try inherited.listen(on: address, mode: 0o600)
            if let port = HTTPPort(socket, answer: answer) { return (address, port) }
            failures.append("no thread is left for \(address)")
        } catch {
            failures.append("\(error)")
        }
        return nil
    }
}

/// `/metrics`, `/live`, `/ready`, and `/keys/NAME` for each token signer.
enum MetricsPort {
    static func answer(_ request: HTTPRequest, _ state: ProcessState) -> HTTPResponse {
        let keys = keys(request.path, state)
        guard keys != nil || ["/metrics", "/live", "/ready"].contains(request.path) else {
            return HTTPResponse(404, "there are /metrics, /live, /ready and /keys/SIGNER\n")
        }
        guard request.method == "GET" || request.method == "HEAD" else {
            return .notAllowed("GET, HEAD")
        }
        if let keys { return keys }
        switch request.path {
        case "/live": return HTTPResponse(200, "live\n")
        case "/ready":
            let facts = state.now
            if facts.isDraining { return HTTPResponse(503, "draining\n") }
            if facts.snapshot == nil { return HTTPResponse(503, "not serving yet\n") }
            if !facts.isSettled {
                return HTTPResponse(503, "waiting for the first answers about endpoints\n")
            }
            return HTTPResponse(200, "ready\n")
        default:
            var response = HTTPResponse(200, "")
            response.contentType = Exposition.contentType
            response.body = MetricsPage.bytes(state)
            return response
        }
    }
    /// The key set that a token signer publishes (RFC 7517, section 8.5.2).
    private static func keys(_ path: String, _ state: ProcessState) -> HTTPResponse? {
        guard path.hasPrefix("/keys/"),
            let signer = state.now.snapshot?.signers.first(where: {
                $0.name == path.dropFirst("/keys/".count)
            })
        else { return nil }
        var response = HTTPResponse(200, "")
        response.contentType = "application/jwk-set+json"
        response.body = signer.published
        return response
    }
}
