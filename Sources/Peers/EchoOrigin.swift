/// The server side of one connection to the echo service (protos/echo.proto), without a socket.
///
/// Anything but gRPC gets its request's body back, with a line of trailers.
public final class EchoOrigin {
    /// Every response names its server in the field `x-served-by`.
    public let name: String
    public let session: PeerSession
    /// Asked for each call; true ends it with UNAVAILABLE.
    public var isTroubled: () -> Bool = { false }
    private var calls: [Int32: EchoCall] = [:]
    /// Streams whose answer waits for its time, in order of their beginning.
    private var delayed: [(at: Int64, stream: Int32)] = []

    public init(name: String, _ terms: PeerSession.Terms = PeerSession.Terms()) {
        self.name = name
        session = PeerSession(.server, terms)
    }

    /// Requests that arrived.
    public private(set) var requestCount = 0
    /// Calls that are under way.
    public var callCount: Int { calls.count }

    /// When `advance` has something to do, in the nanoseconds of the clock that it is given.
    public var nextDeadline: Int64? { delayed.map(\.at).min() }

    /// Takes bytes from the client and queues answers; `now` is in nanoseconds.
    public func receive(_ bytes: [UInt8], now: Int64) throws(PeerFailure) {
        try session.receive(bytes)
        for event in session.takeEvents() { handle(event, now) }
    }

    /// Answers what was to wait until now.
    public func advance(now: Int64) {
        let due = delayed.filter { $0.at <= now }
        delayed.removeAll { $0.at <= now }
        for item in due {
            calls[item.stream]?.isHeld = false
            answer(item.stream)
        }
    }

    private func handle(_ event: PeerEvent, _ now: Int64) {
        switch event {
        case .headers(let stream, .request, let fields):
            requestCount += 1
            let call = EchoCall(fields)
            calls[stream] = call
            if call.isGRPC, isTroubled() { refuse(stream, call) }
        case .data(let stream, let bytes):
            calls[stream]?.body += bytes
            takeMessages(stream, now)
        case .end(let stream):
            calls[stream]?.isRequestWhole = true
            answer(stream)
        case .closed(let stream, _):
            calls[stream] = nil
            delayed.removeAll { $0.stream == stream }
        default: break
        }
    }

    private func takeMessages(_ stream: Int32, _ now: Int64) {
        guard let call = calls[stream], call.isGRPC else { return }
        for message in MessageFraming.takeMessages(&call.body) {
            guard let request = EchoRequest(message) else {
                return finish(stream, status: 3, "the request is no EchoRequest")
            }
            if call.requestCount == 0 {
                call.terms = request.terms
                let delay = Int64(request.terms.delayMilliseconds) * 1_000_000
                if delay > 0 {
                    call.isHeld = true
                    delayed.append((now + delay, stream))
                }
            }
            call.requestCount += 1
            call.requests.append(request)
        }
        answer(stream)
    }

    // MARK: Answering

    private func answer(_ stream: Int32) {
        guard let call = calls[stream], !call.isHeld, !call.isAnswered else { return }
        guard call.isGRPC else {
            if call.isRequestWhole { answerPlainly(stream, call) }
            return
        }
        if call.terms.failsAtOnce, call.requestCount > 0 { return finishByTerms(stream, call) }
        switch call.method {
        case "Unary", "ServerStream":
            guard call.isRequestWhole, let request = call.requests.first else { break }
            let count = call.method == "Unary" ? 1 : call.terms.responseCount
            for _ in 0..<count { send(stream, call, request.payload) }
            return finishByTerms(stream, call)
        case "ClientStream":
            guard call.isRequestWhole || call.isEnough else { return }
            send(stream, call, call.requests.flatMap(\.payload))
            return finishByTerms(stream, call)
        case "Bidi":
            for request in call.requests where !call.hasAnsweredEnough {
                send(stream, call, request.payload)
            }
            call.requests = []
            if call.isRequestWhole || call.hasAnsweredEnough { finishByTerms(stream, call) }
            return
        default: return finish(stream, status: 12, "no such method")
        }
        if call.isRequestWhole { finish(stream, status: 13, "the request has no message") }
    }

    private func answerPlainly(_ stream: Int32, _ call: EchoCall) {
        call.isAnswered = true
        let fields = [
            HeaderField(":status", "200"), HeaderField("content-type", "application/octet-stream"),
            HeaderField("x-served-by", name),
        ]
        session.respond(stream, fields, isLast: false)
        session.send(stream, call.body)
        session.finish(stream, trailers: [HeaderField("x-bytes", String(call.body.count))])
    }

    /// Trailers-Only.
    private func refuse(_ stream: Int32, _ call: EchoCall) {
        call.isAnswered = true
        let fields = [
            HeaderField(":status", "200"), HeaderField("content-type", "application/grpc"),
            HeaderField("grpc-status", "14"), HeaderField("grpc-message", "in trouble"),
        ]
        session.respond(stream, fields, isLast: true)
    }

    private func begin(_ stream: Int32, _ call: EchoCall) {
        if call.hasBegun { return }
        call.hasBegun = true
        let fields = [
            HeaderField(":status", "200"), HeaderField("content-type", "application/grpc"),
            HeaderField("x-served-by", name),
        ]
        session.respond(stream, fields + call.metadata, isLast: false)
    }

    private func send(_ stream: Int32, _ call: EchoCall, _ payload: [UInt8]) {
        begin(stream, call)
        var payload = payload
        if call.terms.responseBytes > 0 {
            payload = [UInt8](repeating: 0x65, count: Int(call.terms.responseBytes))
        }
        let response = EchoResponse(payload: payload, index: call.responseCount)
        call.responseCount += 1
        session.send(stream, MessageFraming.frame(response.encoded))
    }

    private func finishByTerms(_ stream: Int32, _ call: EchoCall) {
        finish(stream, status: call.terms.statusCode, call.terms.statusMessage)
    }

    /// Ends the call; the rest of an unfinished request is refused (RST_STREAM, NO_ERROR).
    private func finish(_ stream: Int32, status: UInt32, _ message: String) {
        guard let call = calls[stream], !call.isAnswered else { return }
        begin(stream, call)
        call.isAnswered = true
        var trailers = [HeaderField("grpc-status", String(status))]
        if !message.isEmpty { trailers.append(HeaderField("grpc-message", message)) }
        trailers += call.metadata.map { HeaderField("trailing-" + $0.name, $0.value) }
        let code = call.isRequestWhole ? nil : ErrorCode.noError
        session.finish(stream, trailers: trailers, thenReset: code)
    }
}

/// One call of the echo service as its server sees it.
private final class EchoCall {
    let isGRPC: Bool
    let method: String
    private let ownFields: [HeaderField]
    var terms = EchoTerms()
    /// What is not yet a whole message, or, but for gRPC, all of the body.
    var body: [UInt8] = []
    var requests: [EchoRequest] = []
    var requestCount: UInt32 = 0
    var responseCount: UInt32 = 0
    var isRequestWhole = false
    var isHeld = false
    var hasBegun = false
    var isAnswered = false

    init(_ fields: [HeaderField]) {
        isGRPC = fields.first("content-type")?.hasPrefix("application/grpc") ?? false
        let path = fields.first(":path") ?? ""
        let service = "/weir.echo.v1.Echo/"
        method = path.hasPrefix(service) ? String(path.dropFirst(service.count)) : ""
        ownFields = fields.filter { $0.name.hasPrefix("x-") }
    }

    var metadata: [HeaderField] { terms.echoesMetadata ? ownFields : [] }
    var isEnough: Bool { terms.endsAfter > 0 && requestCount >= terms.endsAfter }
    var hasAnsweredEnough: Bool { terms.endsAfter > 0 && responseCount >= terms.endsAfter }
}
