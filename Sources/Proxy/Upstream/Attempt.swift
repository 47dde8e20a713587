internal import Rules
internal import Wire

/// One try of an exchange at one endpoint, and the response that came of it. Pooled: the first with
/// its exchange, others by themselves.
///
///     idle <-> pending -> streaming -> closed
///                            |            ^
///                            +-> abandoned +
///
/// - abandoned: given up and reset; the stream is not closed yet and what still comes is dropped.
final class Attempt {
    enum State { case idle, pending, streaming, abandoned, closed }

    enum Fault { case headerList, trailers, interimResponses, message }

    private static let abuseFactor = 4

    // Touched from C callbacks as Exchange's members are; the reason stands there.
    @safe @exclusivity(unchecked) var arena = HeaderArena()
    @safe @exclusivity(unchecked) var response = Message()
    @safe @exclusivity(unchecked) var upstream = StreamEnd<UpstreamConnection>()
    @safe @exclusivity(unchecked) private var owner: Borrowed<Exchange>?
    /// How far it is with the request's body.
    @safe @exclusivity(unchecked) var cursor = BodyCursor()
    @safe @exclusivity(unchecked) var sink = MessageSink()
    /// How many there were before it, without those that no server has processed.
    var previous: UInt8 = 0
    /// The next of the exchange's other attempts.
    var sibling: Borrowed<Attempt>?
    private var fieldCount = 0
    private var interimCount = 0

    /// 1xx responses that were not passed on yet.
    @safe @exclusivity(unchecked) var interims: [HeaderBlock] = []
    private(set) var status: UInt16 = 0
    /// Of the response's headers or trailers.
    var grpcStatus = ExchangeAccount.noStatus
    /// What it says of its endpoint's health was told.
    var isJudged = false
    /// Its end decides whether its endpoint returns.
    var isProbe = false
    /// What the server said about asking again.
    private(set) var pushback = Pushback.none
    /// The server sent RST_STREAM.
    var wasReset = false
    private(set) var fault: Fault?
    /// No message of the response may be larger.
    @safe @exclusivity(unchecked) var messageBytesMax = UInt32.max
    private(set) var gate = GRPCMessageGate()
    /// What goes to the client: the response's headers as they came, or edited.
    var outgoingHeaders = HeaderBlock()
    /// The request's HEADERS did not fit a frame or came too late: they never left.
    var failedToSend = false

    /// The last endpoint that it was sent to; 0 is none.
    var endpoint: UInt32 = 0

    // MARK: Metrics

    /// What it is counted in while it is under way.
    var series: Borrowed<SeriesWriter>?
    /// When its request was handed to the server's connection.
    var sentAt: Int64 = 0

    // MARK: Upstream's lists

    @safe @exclusivity(unchecked) var state = State.idle
    /// It may still bring a response.
    var isLive: Bool { state == .pending || state == .streaming }
    var pool: Borrowed<UpstreamPool>?
    var nextPending: Borrowed<Attempt>?
    var previousPending: Borrowed<Attempt>?
    var exchange: Borrowed<Exchange> {
        guard let owner else { preconditionFailure("an attempt without its exchange") }
        return owner
    }

    func belong(to exchange: Exchange) { owner = Borrowed(exchange) }

    // MARK: What nghttp2 received

    /// Stores a field of the block that arrives: interim, final or trailers.
    @inline(never)
    func responseFieldReceived(
        _ name: ByteView, _ value: ByteView, _ flags: UInt8, _ pool: BlockPool
    ) -> Exchange.FieldVerdict {
        if state == .abandoned { return .taken }
        let isTrailer = response.flow.hasHeaders
        let token = name.use(HeaderToken.of)
        let verdict = name.use { name in
            value.use { value in
                isTrailer
                    ? response.check.trailer(token, name, value)
                    : response.check.responseField(token, name, value, status: status)
            }
        }
        if verdict != .fine { return verdict == .dropped ? .taken : .malformed }
        response.listBytes &+= name.count &+ value.count &+ 32
        fieldCount &+= 1
        if isOverLimit(isTrailer: isTrailer) {
            fault = fault ?? (isTrailer ? .trailers : .headerList)
            let isAbuse = isOverLimit(isTrailer: isTrailer, factor: Self.abuseFactor)
            return isAbuse ? .abusive : .taken
        }
        if token.isHopByHop { return .taken }
        if token != .other { noted(token, value) }
        let isStored =
            isTrailer
            ? response.trailers.append(copying: name, value, flags: flags, in: &arena, from: pool)
            : response.headers.append(copying: name, value, flags: flags, in: &arena, from: pool)
        return isStored ? .taken : .refused
    }

    @inline(always)
    private func noted(_ token: HeaderToken, _ value: ByteView) {
        switch token {
        case .status: status = Self.number(value)
        case .grpcStatus: grpcStatus = Self.grpcStatus(value)
        case .grpcRetryPushback: pushback = value.use { Pushback($0) }
        default: break
        }
    }

    /// The response is Weir's own, with these headers; `:status` is the first.
    func answers(_ headers: HeaderBlock) { status = Self.number(headers.value(0)) }

    /// A header block is whole; false where the response is malformed with it.
    @inline(always)
    func responseBlockReceived(isEnd: Bool) -> Bool {
        response.listBytes = 0
        fieldCount = 0
        if response.check.fault != nil { return false }
        if response.flow.hasHeaders {
            guard response.check.trailersEnded(isEnd: isEnd), response.isWholeBody else {
                return false
            }
            response.flow.trailersReceived()
            return true
        }
        let isHead = exchange.use { $0.isHead }
        guard response.check.responseBlockEnded(status: status, isEnd: isEnd, isHead: isHead)
        else { return false }
        guard status < 200 else {
            if isEnd, !response.isWholeBody { return false }
            response.flow.headersReceived()
            if isEnd { response.flow.endReceived() }
            return true
        }
        interimCount += 1
        if interimCount > limits(\.interimResponses) {
            fault = fault ?? .interimResponses
        } else {
            interims.append(response.headers)
        }
        response.headers = HeaderBlock()
        status = 0
        return true
    }

    /// Whether the body may go on with so many bytes.
    @inline(always)
    func admitsBody(_ byteCount: Int) -> Bool {
        if state == .abandoned { return true }
        if !response.flow.hasHeaders { response.check.bodyCameFirst() }
        return response.admits(byteCount)
    }

    @inline(always)
    func responseBytesReceived(_ bytes: RawSpan, _ pool: SegmentPool, now: Int64) {
        if state == .abandoned || fault == .message { return }
        response.bodyReceived(bytes, pool, now: now)
    }

    /// How many of the response's next bytes may pass.
    func admitted(_ bytes: Span<UInt8>) -> Int {
        guard let admitted = gate.admitted(bytes, bytesMax: messageBytesMax) else {
            return bytes.count
        }
        return admitted
    }

    /// A message is larger than allowed: nothing of it is passed on.
    func foundLargeMessage() { fault = fault ?? .message }

    @inline(always)
    private func isOverLimit(isTrailer: Bool, factor: Int = 1) -> Bool {
        upstream.connection?.use { connection in
            let limits = connection.limits
            return isTrailer
                ? response.listBytes / factor > limits.trailerBytes
                    || fieldCount / factor > limits.trailerFields
                : response.listBytes / factor > limits.headerListBytes
                    || fieldCount / factor > limits.headerFields
        } ?? false
    }

    private func limits(_ path: KeyPath<UpstreamLimits, Int>) -> Int {
        upstream.connection?.use { $0.limits[keyPath: path] } ?? 0
    }

    /// Clients take what is no number for UNKNOWN.
    @inline(always)
    private static func grpcStatus(_ value: ByteView) -> UInt32 {
        if value.count == 1, value[0] >= UInt8(ascii: "0"), value[0] <= UInt8(ascii: "9") {
            return UInt32(value[0] &- UInt8(ascii: "0"))
        }
        return value.use(GRPCStatus.parse) ?? UInt32(GRPCStatus.unknown.rawValue)
    }

    /// Three digits, as `MessageCheck` has found.
    private static func number(_ value: ByteView) -> UInt16 {
        value.use { digits in
            var number: UInt16 = 0
            for index in digits.indices.prefix(3) {
                number = number &* 10 &+ UInt16(digits[index] &- UInt8(ascii: "0"))
            }
            return number
        }
    }

    // MARK: What was passed on

    /// Tells the server's stream, in portions that matter, that response bytes went on.
    @inline(always)
    func responseBytesPassed(_ byteCount: Int, _ workspace: Workspace) {
        exchange.use {
            $0.progressAt = workspace.now
            $0.account.responseBytes &+= Int64(byteCount)
        }
        upstream.connection?.use { connection in
            let credit = response.bytesPassed(byteCount, connection.session.windows)
            guard let credit else { return }
            connection.session.credit(upstream.streamID, credit)
            connection.markDirty(workspace)
        }
    }

    func reset(_ workspace: Workspace) {
        response.reset(returning: workspace.segments)
        arena.reset(to: workspace.blocks)
        outgoingHeaders = HeaderBlock()
        if !interims.isEmpty { interims.removeAll() }
        interimCount = 0
        fieldCount = 0
        status = 0
        grpcStatus = ExchangeAccount.noStatus
        pushback = .none
        wasReset = false
        fault = nil
        series = nil
        sentAt = 0
        endpoint = 0
        if messageBytesMax != .max {
            messageBytesMax = .max
            gate = GRPCMessageGate()
        }
        failedToSend = false
        isJudged = false
        isProbe = false
        state = .idle
        pool = nil
        nextPending = nil
        previousPending = nil
        cursor = BodyCursor()
        sink = MessageSink()
        previous = 0
        sibling = nil
    }
}
