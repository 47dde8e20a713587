/// Exactly what came back of one call.
public struct CallRecord: Equatable, Sendable {
    public enum End: Equatable, Sendable {
        /// END_STREAM.
        case complete
        case reset(code: UInt32)
        /// GOAWAY said that it was not processed, or the connection ended.
        case lost(String)
    }

    public var interims: [[HeaderField]] = []
    public var headers: [HeaderField] = []
    public var trailers: [HeaderField] = []
    public var body: [UInt8] = []
    /// Nil while the call is under way.
    public var end: End?

    public init() {}

    /// The number in `:status`, or 0.
    public var status: Int { Int(headers.first(":status") ?? "") ?? 0 }

    /// grpc-status of the trailers, or of the headers where they are all there is (Trailers-Only).
    public var grpcStatus: Int? {
        (trailers.first("grpc-status") ?? headers.first("grpc-status")).flatMap { Int($0) }
    }

    public var grpcMessage: String? {
        trailers.first("grpc-message") ?? headers.first("grpc-message")
    }

    /// The echo service's answers; nil where the body is something else.
    public var echoes: [EchoResponse]? {
        var rest = body
        let messages = MessageFraming.takeMessages(&rest)
        let echoes = messages.compactMap { EchoResponse($0) }
        return rest.isEmpty && echoes.count == messages.count ? echoes : nil
    }
}

/// The client side of one connection, without a socket: makes calls and keeps what came of them.
public final class CallClient {
    public enum Method: String, CaseIterable, Sendable {
        case unary = "Unary"
        case clientStream = "ClientStream"
        case serverStream = "ServerStream"
        case bidi = "Bidi"
    }

    public let session: PeerSession
    public let authority: String
    private let scheme: String
    private var records: [Int32: CallRecord] = [:]
    /// The other side takes no more calls on this connection.
    public private(set) var isGoingAway = false

    public init(
        authority: String, scheme: String = "http",
        _ terms: PeerSession.Terms = PeerSession.Terms()
    ) {
        self.authority = authority
        self.scheme = scheme
        session = PeerSession(.client, terms)
    }

    /// Begins a call of the echo service and gives its stream; `metadata` names are lower case.
    public func begin(_ method: Method, metadata: [HeaderField] = []) -> Int32 {
        begin(
            method: "POST", path: "/weir.echo.v1.Echo/\(method.rawValue)",
            fields: [
                HeaderField("te", "trailers"), HeaderField("content-type", "application/grpc"),
            ] + metadata, hasBody: true)
    }

    /// Begins any request.
    public func begin(
        method: String, path: String, fields: [HeaderField], hasBody: Bool
    ) -> Int32 {
        let pseudo = [
            HeaderField(":method", method), HeaderField(":scheme", scheme),
            HeaderField(":path", path), HeaderField(":authority", authority),
        ]
        let stream = session.request(pseudo + fields, isLast: !hasBody)
        if stream > 0 { records[stream] = CallRecord() }
        return stream
    }

    public func send(_ stream: Int32, _ request: EchoRequest) {
        session.send(stream, MessageFraming.frame(request.encoded))
    }

    public func finish(_ stream: Int32) { session.finish(stream) }

    public func cancel(_ stream: Int32) {
        session.reset(stream, ErrorCode.cancel)
        end(stream, .reset(code: ErrorCode.cancel))
    }

    public func receive(_ bytes: [UInt8]) throws(PeerFailure) {
        try session.receive(bytes)
        for event in session.takeEvents() { handle(event) }
    }

    /// The connection ended: so did every call on it.
    public func connectionEnded(_ reason: String) {
        for stream in records.keys { end(stream, .lost(reason)) }
    }

    /// What came of a call so far.
    public func record(_ stream: Int32) -> CallRecord? { records[stream] }

    /// What came of a call that has ended; forgets it.
    public func takeEnded(_ stream: Int32) -> CallRecord? {
        records[stream]?.end == nil ? nil : records.removeValue(forKey: stream)
    }

    private func end(_ stream: Int32, _ end: CallRecord.End) {
        if records[stream]?.end == nil { records[stream]?.end = end }
    }

    private func handle(_ event: PeerEvent) {
        switch event {
        case .headers(let stream, let kind, let fields):
            switch kind {
            case .interim: records[stream]?.interims.append(fields)
            case .trailers: records[stream]?.trailers = fields
            default: records[stream]?.headers = fields
            }
        case .data(let stream, let bytes): records[stream]?.body += bytes
        case .end(let stream): end(stream, .complete)
        case .reset(let stream, let code): end(stream, .reset(code: code))
        case .closed(let stream, _): end(stream, .lost("GOAWAY left it unprocessed"))
        case .goAway: isGoingAway = true
        default: break
        }
    }
}
