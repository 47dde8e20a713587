import Peers
import Wire

/// One request and its response on their way through the real worker, with header fields of any
/// bytes: what each side hears of them.
public struct FieldExchange {
    public enum Listener: Int, CaseIterable, Sendable {
        /// Tells servers nothing of the client.
        case direct
        /// Tells them what it sees itself.
        case edge
        /// Believes its clients, which are proxies.
        case behind
    }

    public enum Route: String, CaseIterable, Sendable {
        case plain = "/plain"
        /// Changes headers.
        case edited = "/edited/a"
        /// The same, for gRPC.
        case calls = "/weir.echo.v1.Echo/Unary"
    }

    /// A message's header fields and trailers, as `name: value`; nil where there were none.
    public struct Message: Equatable, Sendable {
        public var headers: [String]?
        public var trailers: [String]?
    }

    public let listener: Listener
    public let route: Route
    /// Behind `:method`, `:scheme`, `:path` and `:authority`, and content-type for calls.
    public var requestHeaders: [RawField] = []
    public var requestTrailers: [RawField] = []
    /// Behind `:status`, and content-type for calls.
    public var responseHeaders: [RawField] = []
    /// Behind grpc-status for calls.
    public var responseTrailers: [RawField] = []

    /// What the request and the response have for a body.
    public static let bodyBytes = 10

    public init(_ listener: Listener, _ route: Route) {
        self.listener = listener
        self.route = route
    }

    public enum Outcome: Sendable {
        case fault(String)
        /// Each request that a server heard, and the responses that the client did.
        case heard(requests: [Message], responses: [Message])
    }

    public func run() -> Outcome {
        guard case .success(let configuration) = Self.configuration else {
            return .fault("\(Self.configuration)")
        }
        let pause = RawScript.Step.passes(Self.pauseNanoseconds)
        let steps = [pause, .client(request), pause, .server(response), pause]
        let exchange = RawExchange(RawScript(door: listener.rawValue, steps), configuration)
        if let fault = exchange.run() { return .fault(fault) }
        return .heard(
            requests: messages(exchange.serverEvents), responses: messages(exchange.clientEvents))
    }

    private static let pauseNanoseconds: Int64 = 20_000_000

    private var request: [UInt8] {
        var head = [
            RawField(":method", "POST"), RawField(":scheme", "http"),
            RawField(":path", route.rawValue), RawField(":authority", "a.test"),
        ]
        if route == .calls { head.append(RawField("content-type", "application/grpc")) }
        return message(head + requestHeaders, requestTrailers)
    }

    private var response: [UInt8] {
        var head = [RawField(":status", "200")]
        var trailers = responseTrailers
        if route == .calls {
            head.append(RawField("content-type", "application/grpc"))
            trailers.insert(RawField("grpc-status", "0"), at: 0)
        }
        return message(head + responseHeaders, trailers)
    }

    private func message(_ headers: [RawField], _ trailers: [RawField]) -> [UInt8] {
        let head = RawFrames.frame(1, 4, 1, headers.flatMap(\.literal))
        guard !trailers.isEmpty else { return head + RawFrames.frame(0, 1, 1, RawFrames.message) }
        return head + RawFrames.frame(0, 0, 1, RawFrames.message)
            + RawFrames.frame(1, 5, 1, trailers.flatMap(\.literal))
    }

    /// Interim responses are left out.
    private func messages(_ events: [[PeerEvent]]) -> [Message] {
        var messages: [Message] = []
        for case .headers(_, let kind, let fields) in events.joined() {
            let lines = fields.map { "\($0.name): \($0.value)" }
            switch kind {
            case .interim: break
            case .request, .response: messages.append(Message(headers: lines))
            case .trailers:
                if messages.isEmpty { messages.append(Message()) }
                messages[messages.count - 1].trailers = lines
            }
        }
        return messages
    }

    private static let configuration = Result { () throws(RawConfiguration.Refused) in
        try RawConfiguration(text)
    }

    private static let requestEdits =
        "{set: {x-set: a, x-forwarded-host: set.test}, add: {x-added: b, cookie: c=d}, "
        + "remove: [x-gone, user-agent, x-forwarded-proto]}"
    private static let responseEdits =
        "{set: {x-set: a, server: weir}, add: {x-added: b}, remove: [x-gone, set-cookie]}"

    private static let text = """
        listeners:
          - {name: direct, address: 127.0.0.1:8080}
          - {name: edge, address: 127.0.0.1:8081, trusted_proxies: [10.9.0.0/16]}
          - {name: behind, address: 127.0.0.1:8082, trusted_proxies: [10.1.0.0/16]}
        upstreams:
          - {name: origin, endpoints: [10.0.0.1:50051]}
        routes:
          - name: plain
            listeners: [direct, edge, behind]
            matches: [{path: /plain}]
            backends: [{upstream: origin}]
          - name: edited
            listeners: [direct, edge, behind]
            matches: [{path: {prefix: /edited}}]
            backends: [{upstream: origin}]
            request_headers: \(requestEdits)
            response_headers: \(responseEdits)
          - name: calls
            listeners: [direct, edge, behind]
            matches: [{method: weir.echo.v1.Echo/*}]
            backends: [{upstream: origin}]
            request_headers: \(requestEdits)
            response_headers: \(responseEdits)
        access: {default: allow}
        access_log: {file: stdout}
        """
}
