internal import CNghttp2
internal import Rules
internal import Wire

/// The side of a connection that clients speak to. A stream's user data is its exchange.
@safe
final class ServerSession: HTTP2Session {
    private var owner: Borrowed<DownstreamConnection>?
    @safe @exclusivity(unchecked) private var current: Borrowed<Exchange>?
    @safe @exclusivity(unchecked) private var currentID: Int32 = 0
    private var walk = FrameWalk(prefaceBytes: 24)
    private var ledger = StreamLedger()
    /// When the client last set the windows that streams begin with.
    private var windowsSetAt: Int64 = 0

    init(_ workspace: Workspace, _ limits: DownstreamLimits) {
        let windows = Windows(
            stream: limits.streamWindowBytes,
            streamMax: max(limits.streamWindowBytes, limits.streamWindowBytesMax),
            connection: limits.connectionWindowBytes)
        super.init(workspace, windows, FrameBudget(.init(limits)))
        let callbacks = workspace.serverCallbacks(for: limits)
        unsafe handle = callbacks.makeServer(userData: Borrowed(self).pointer, workspace.blocks)
        submitSettings([
            (NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits.concurrentStreams),
            (NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, UInt32(windows.stream)),
            (NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, UInt32(clamping: limits.headerListBytes)),
        ])
    }

    func setOwner(_ connection: DownstreamConnection) { owner = Borrowed(connection) }

    // MARK: Verbs

    /// The headers of a response; with `hasBody` the body and trailers follow from the exchange.
    func submitResponse(_ streamID: Int32, _ exchange: Exchange, hasBody: Bool) -> Bool {
        let headers = exchange.attempt.use { $0.outgoingHeaders }
        var provider = unsafe nghttp2_data_provider(
            source: nghttp2_data_source(ptr: Borrowed(exchange).pointer),
            read_callback: readResponseBody)
        return unsafe withUnsafePointer(to: &provider) {
            unsafe nghttp2_submit_response(
                handle, streamID, headers.fields, headers.count, hasBody ? $0 : nil)
        } == 0
    }

    /// A 1xx response: others follow.
    func submitInterim(_ streamID: Int32, _ headers: HeaderBlock) {
        unsafe _ = nghttp2_submit_headers(
            handle, 0, streamID, nil, headers.fields, headers.count, nil)
    }

    /// The first GOAWAY of a graceful end: no new streams, please, but none is refused yet.
    func submitShutdownNotice() { unsafe _ = nghttp2_submit_shutdown_notice(handle) }

    /// The second: names the last stream that will be served.
    func submitGoAway() {
        let last = unsafe nghttp2_session_get_last_proc_stream_id(handle)
        unsafe _ = nghttp2_submit_goaway(handle, 0, last, HTTP2Code.noError.rawValue, nil, 0)
    }

    // MARK: Bytes

    /// Feeds nghttp2 what comes before a frame that ends the connection.
    override func receive(_ buffer: ReadBuffer, _ count: Int) -> Received {
        let fit = buffer.use(count) { admit($0) }
        return super.receive(buffer, fit)
    }

    private func admit(_ bytes: Span<UInt8>) -> Int {
        // Copies: one check of exclusive access for all frames.
        var walk = self.walk
        var ledger = self.ledger
        defer {
            self.walk = walk
            self.ledger = ledger
        }
        let known = ledger.lastID
        var index = 0
        while let frame = walk.next(bytes, &index) {
            guard let code = ledger.received(frame) else {
                countIfLate(frame, known)
                continue
            }
            if notes.breach == nil {
                let words = "a frame that stream \(frame.streamID) may not have"
                notes.breach = Breach(code: code, reason: words)
            }
            return frame.start
        }
        return bytes.count
    }

    /// nghttp2 drops a message's frame whose stream is closed, without a word: it costs the client
    /// little. `known`: streams beyond began in these bytes, which nghttp2 has not seen yet.
    @inline(always)
    private func countIfLate(_ frame: FrameWalk.Header, _ known: Int32) {
        guard frame.type <= UInt8(NGHTTP2_HEADERS.rawValue), frame.streamID <= known else { return }
        if exchange(of: frame.streamID) == nil { frameBegan() }
    }

    // MARK: Noting what was received (called by the thunks)

    @inline(always)
    private func exchange(of streamID: Int32) -> Borrowed<Exchange>? {
        if currentID == streamID { return current }
        currentID = streamID
        current = unsafe nghttp2_session_get_stream_user_data(handle, streamID)
            .map { unsafe Borrowed($0) }
        return current
    }

    @inline(never)
    fileprivate func headersBegan(_ frame: UnsafePointer<nghttp2_frame>) {
        let streamID = unsafe frame.pointee.hd.stream_id
        headerBlockBegan(streamID, now: workspace.use { $0.now })
        guard unsafe frame.pointee.headers.cat == NGHTTP2_HCAT_REQUEST, let owner else {
            _ = exchange(of: streamID)
            return
        }
        notes.streamsBegan &+= 1
        let exchange = workspace.use { workspace in
            budget.streamBegan(now: workspace.now)
            return workspace.takeExchange()
        }
        exchange.use { exchange in
            exchange.startedAt = workspace.use { $0.now }
            owner.use { $0.attach(exchange, streamID) }
        }
        unsafe _ = nghttp2_session_set_stream_user_data(handle, streamID, exchange.pointer)
        current = exchange
        currentID = streamID
    }

    @inline(never)
    fileprivate func headerReceived(
        _ frame: UnsafePointer<nghttp2_frame>, _ name: ByteView, _ value: ByteView, flags: UInt8
    ) -> Bool {
        let streamID = unsafe frame.pointee.hd.stream_id
        let isRequest = unsafe frame.pointee.headers.cat == NGHTTP2_HCAT_REQUEST
        // Looked up again: a block may arrive in several reads, with other streams' frames between.
        guard let owner = exchange(of: streamID) else { return true }
        let verdict =
            isRequest
            ? owner.use { exchange in
                blocks.use { exchange.requestFieldReceived(name, value, flags, $0) }
            }
            : owner.use { exchange in
                blocks.use { exchange.requestTrailerReceived(name, value, flags, $0) }
            }
        return verdict == .taken || took(verdict, streamID, owner, isRequest: isRequest)
    }

    /// What a field is that is not simply kept. False where its stream is not read any more.
    @inline(never)
    private func took(
        _ verdict: Exchange.FieldVerdict, _ streamID: Int32, _ owner: Borrowed<Exchange>,
        isRequest: Bool
    ) -> Bool {
        switch verdict {
        case .taken: return true
        case .malformed:
            malformed(streamID, owner)
            return false
        case .refused:
            let limit: Limit = isRequest ? .headerList : .trailers
            let words = "the request's \(isRequest ? "headers" : "trailers") are too large"
            noteError(owner, ProxyError(.headersTooLarge, .downstream, words, limit: limit))
            // Resets that a client makes Weir send count as its own (CVE-2025-8671).
            notes.exceeded = isRequest ? .headerList : .trailers
            streamReset(streamID)
            return false
        case .abusive:
            trip(isRequest ? .headerList : .trailers)
            return false
        }
    }

    /// The request breaks RFC 9113, 8: nothing more of it is passed on.
    private func malformed(_ streamID: Int32, _ owner: Borrowed<Exchange>) {
        reset(streamID, code: .protocolError)
        owner.use { exchange in
            guard let fault = exchange.request.check.fault else { return }
            var error = ProxyError(.malformed, .downstream, "\(fault.words)")
            let code = HTTP2Code.protocolError.rawValue
            error.reset = ExchangeEnd.Reset(frame: .resetStream, by: .weir, code: code)
            noteError(owner, error)
            segments.use { exchange.request.discard(returning: $0) }
        }
    }

    private func noteError(_ exchange: Borrowed<Exchange>, _ error: ProxyError) {
        exchange.use { exchange in blocks.use { exchange.note(error, $0) } }
    }

    /// nghttp2 refuses a frame. Of requests that it refused before they had begun there is no
    /// exchange yet: each gets one, for its account, which ends at once.
    fileprivate func frameRefused(_ frame: UnsafePointer<nghttp2_frame>, _ error: CInt) {
        let header = unsafe frame.pointee.hd
        guard header.type == UInt8(NGHTTP2_HEADERS.rawValue) else { return }
        if let exchange = exchange(of: header.stream_id) {
            exchange.use {
                $0.account.end.detail = unsafe ByteView(cString: nghttp2_strerror(error))
            }
            return
        }
        guard unsafe frame.pointee.headers.cat == NGHTTP2_HCAT_REQUEST, let owner else { return }
        let isOver = owner.use { $0.streamCount >= Int($0.limits.concurrentStreams) }
        let exchange = workspace.use { $0.takeExchange() }
        exchange.use { exchange in
            exchange.startedAt = workspace.use { $0.now }
            exchange.account.end.refused(isOverLimit: isOver)
            owner.use { $0.attach(exchange, header.stream_id) }
        }
        let code = HTTP2Code.refusedStream.rawValue
        workspace.use { $0.events.append(.downstreamClosed(exchange, code: code)) }
    }

    @inline(never)
    fileprivate func frameReceived(_ frame: UnsafePointer<nghttp2_frame>) {
        let header = unsafe frame.pointee.hd
        let isEnd = header.flags & UInt8(NGHTTP2_FLAG_END_STREAM.rawValue) != 0
        switch UInt32(header.type) {
        case NGHTTP2_HEADERS.rawValue:
            headerBlockEnded()
            guard let exchange = exchange(of: header.stream_id) else { return }
            guard exchange.use({ $0.requestBlockReceived(isEnd: isEnd) }) else {
                return malformed(header.stream_id, exchange)
            }
            note(exchange) { flow in
                if flow.hasHeaders {
                    flow.trailersReceived()
                } else {
                    flow.headersReceived()
                    if isEnd { flow.endReceived() }
                }
            }
        case NGHTTP2_DATA.rawValue:
            let padding = unsafe frame.pointee.data.padlen
            trip(budget.dataReceived(isEmpty: header.length <= padding && !isEnd))
            guard isEnd, let exchange = exchange(of: header.stream_id) else { return }
            guard exchange.use({ $0.request.isWholeBody }) else {
                return malformed(header.stream_id, exchange)
            }
            note(exchange) { $0.endReceived() }
        case NGHTTP2_SETTINGS.rawValue:
            settingsFrameReceived(isAck: header.isAck)
            unsafe noteWindows(frame.pointee.settings)
        case NGHTTP2_PING.rawValue:
            pingFrameReceived(isAck: header.isAck)
        case NGHTTP2_RST_STREAM.rawValue:
            let code = unsafe frame.pointee.rst_stream.error_code
            noteReset(header.stream_id, by: .client, code)
            streamReset(header.stream_id)
        case NGHTTP2_GOAWAY.rawValue:
            farewell.receivedCode = unsafe frame.pointee.goaway.error_code
        default: return
        }
    }

    private func noteWindows(_ settings: nghttp2_settings) {
        let entries = unsafe UnsafeBufferPointer(start: settings.iv, count: settings.niv)
        let key = Int32(NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE.rawValue)
        if unsafe entries.contains(where: { $0.settings_id == key }) {
            windowsSetAt = workspace.use { $0.now }
        }
    }

    @inline(never)
    fileprivate func bodyReceived(_ streamID: Int32, _ bytes: RawSpan) {
        dataReceived(bytes.byteCount)
        guard let exchange = exchange(of: streamID) else { return }
        guard exchange.use({ $0.request.admits(bytes.byteCount) }) else {
            return malformed(streamID, exchange)
        }
        let now = workspace.use { $0.now }
        segments.use { pool in
            exchange.use { exchange in
                exchange.request.bodyReceived(bytes, pool, now: now)
                guard exchange.head.isGRPC else { return }
                unsafe bytes.withUnsafeBytes {
                    unsafe exchange.account.requestMessages.pass(Span(_unsafeBytes: $0))
                }
            }
        }
        note(exchange) { _ in }
    }

    /// Changes the request's flow, and lists the exchange for processing.
    @inline(always)
    private func note(_ borrowed: Borrowed<Exchange>, _ change: (inout MessageFlow) -> Void) {
        borrowed.use { exchange in
            change(&exchange.request.flow)
            if exchange.request.flow.note() {
                workspace.use { $0.events.append(.requestProgressed(borrowed)) }
            }
        }
    }

    /// A reset by the client, or by nghttp2 for the client's fault.
    private func streamReset(_ streamID: Int32) {
        guard let exchange = exchange(of: streamID) else { return }
        workspace.use { workspace in
            let isEarly = exchange.use { $0.isEarly(now: workspace.now) }
            trip(budget.streamReset(isEarly: isEarly, now: workspace.now))
        }
    }

    private func noteReset(_ streamID: Int32, by side: ExchangeEnd.Side, _ code: UInt32) {
        exchange(of: streamID)?.use { $0.account.end.sawReset(by: side, code: code) }
    }

    @inline(never)
    fileprivate func streamClosed(_ streamID: Int32, code: UInt32) {
        if streamID == headerBlockStreamID { headerBlockEnded() }
        guard let exchange = exchange(of: streamID) else { return }
        current = nil
        workspace.use { $0.events.append(.downstreamClosed(exchange, code: code)) }
    }

    // MARK: Noting what was sent

    @inline(never)
    fileprivate func frameSent(_ frame: UnsafePointer<nghttp2_frame>) {
        let header = unsafe frame.pointee.hd
        countFrameSent(header.type)
        if header.type == UInt8(NGHTTP2_RST_STREAM.rawValue) {
            // Those for a peer's fault count as its own (CVE-2025-8671); our answers' do not.
            let code = unsafe frame.pointee.rst_stream.error_code
            noteReset(header.stream_id, by: .weir, code)
            // RFC 9113, 6.9.2: SETTINGS that overflow a stream's window break the connection, of
            // which nghttp2 only resets the stream.
            if code == HTTP2Code.flowControlError.rawValue, notes.breach == nil,
                windowsSetAt == workspace.use({ $0.now })
            {
                let words = "SETTINGS: a stream's window is too large"
                notes.breach = Breach(code: .flowControlError, reason: words)
            }
            if code == HTTP2Code.protocolError.rawValue
                || code == HTTP2Code.flowControlError.rawValue
                || code == HTTP2Code.streamClosed.rawValue
            {
                streamReset(header.stream_id)
            }
            return
        }
        if header.type == UInt8(NGHTTP2_GOAWAY.rawValue) {
            unsafe goAwaySent(frame.pointee.goaway)
            // nghttp2's own bucket of resets has overflown (CVE-2023-44487).
            if notes.breach?.code == .internalError {
                notes.breach = nil
                trip(.resets)
            }
        }
        let isEnd = header.flags & UInt8(NGHTTP2_FLAG_END_STREAM.rawValue) != 0
        guard isEnd, header.type <= UInt8(NGHTTP2_HEADERS.rawValue) else { return }
        guard let exchange = exchange(of: header.stream_id) else { return }
        exchange.use { exchange in
            exchange.isResponseSent = true
            // RFC 9113, 8.1: the rest of the request is not wanted. Submitted only now: nghttp2
            // given a reset right after the response sends the reset alone.
            if exchange.resetsAfterResponse { reset(header.stream_id, code: .noError) }
        }
    }

    fileprivate func frameNotSent(_ frame: UnsafePointer<nghttp2_frame>) {
        let header = unsafe frame.pointee.hd
        guard header.type == UInt8(NGHTTP2_HEADERS.rawValue),
            let exchange = exchange(of: header.stream_id)
        else { return }
        workspace.use { $0.events.append(.responseNotSent(exchange)) }
    }

    @inline(always)
    fileprivate func frameSending(
        _ exchange: Exchange, _ frameHeader: UnsafeRawPointer, _ byteCount: Int
    ) -> DataSent {
        guard output.use({ $0.takesData(byteCount) }) else {
            isOutputFull = true
            return .outputFull
        }
        // Discarded between the question for bytes and now: the socket was full in the middle.
        guard exchange.attempt.use({ $0.response.body.count >= byteCount }) else { return .gone }
        exchange.attempt.use { attempt in
            segments.use { pool in
                output.use { output in
                    unsafe output.append(frameHeader, 9)
                    attempt.response.body.move(byteCount, to: output, returning: pool)
                    guard exchange.head.isGRPC else { return }
                    output.useLast(byteCount) { exchange.account.responseMessages.pass($0) }
                }
            }
            workspace.use { attempt.responseBytesPassed(byteCount, $0) }
        }
        return .taken
    }
}

extension nghttp2_frame_hd {
    var isAck: Bool { flags & UInt8(NGHTTP2_FLAG_ACK.rawValue) != 0 }

    /// DATA or HEADERS, whose types are 0 and 1.
    @inline(always)
    var isMessage: Bool { type <= UInt8(NGHTTP2_HEADERS.rawValue) }
}

// MARK: Thunks

private let readResponseBody: nghttp2_data_source_read_callback = {
    _, streamID, _, limit, flags, source, userData in
    guard let source = unsafe source?.pointee.ptr, let userData = unsafe userData,
        let flags = unsafe flags
    else { return Int(NGHTTP2_ERR_CALLBACK_FAILURE.rawValue) }
    return unsafe Borrowed<Exchange>(source).use { exchange in
        exchange.attempt.use { attempt in
            let available = attempt.response.body.count
            let portion = attempt.response.flow.portion(available: available, limit: limit)
            return unsafe portion.answer(flags) {
                unsafe Borrowed<ServerSession>(userData).use {
                    $0.submitTrailers(streamID, attempt.response.trailers)
                }
            }
        }
    }
}

/// For callbacks that are told of no frame. Where there is one they look at it themselves:
/// a closure that takes it along is not inlined, which costs 600 instructions a call.
@inline(always)
private func withSession(
    _ userData: UnsafeMutableRawPointer?, _ body: (ServerSession) -> Void
) -> CInt {
    guard let userData = unsafe userData else { return NGHTTP2_ERR_CALLBACK_FAILURE.rawValue }
    unsafe Borrowed<ServerSession>(userData).use(body)
    return 0
}

extension SessionCallbacks {
    static func server(_ limits: DownstreamLimits) -> SessionCallbacks {
        let callbacks = SessionCallbacks(continuations: limits.continuations)
        unsafe nghttp2_option_set_stream_reset_rate_limit(
            callbacks.options, UInt64(clamping: limits.resetBurst),
            UInt64(clamping: limits.resetsPerSecond))
        unsafe nghttp2_option_set_max_outbound_ack(
            callbacks.options, max(limits.controlFramesQueued, 1))
        unsafe callbacks.setServerReceiving(callbacks.callbacks)
        unsafe callbacks.setServerSending(callbacks.callbacks)
        return callbacks
    }

    private func setServerReceiving(_ callbacks: OpaquePointer?) {
        unsafe nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks) { _, hd, userData in
            // Nearly all frames are of these two, which are looked at when they are whole.
            guard let hd = unsafe hd, unsafe !hd.pointee.isMessage else { return 0 }
            return unsafe withSession(userData) { $0.frameBegan() }
        }
        unsafe nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks) {
            _, frame, userData in
            guard let frame = unsafe frame, let userData = unsafe userData else {
                return NGHTTP2_ERR_CALLBACK_FAILURE.rawValue
            }
            unsafe Borrowed<ServerSession>(userData).use { unsafe $0.headersBegan(frame) }
            return 0
        }
        unsafe nghttp2_session_callbacks_set_on_header_callback(callbacks) {
            _, frame, name, nameCount, value, valueCount, flags, userData in
            guard let frame = unsafe frame, let userData = unsafe userData else {
                return NGHTTP2_ERR_CALLBACK_FAILURE.rawValue
            }
            let isTaken = unsafe Borrowed<ServerSession>(userData).use { session in
                unsafe session.headerReceived(
                    frame, ByteView(name, nameCount), ByteView(value, valueCount), flags: flags)
            }
            return isTaken ? 0 : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE.rawValue
        }
        unsafe nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks) {
            _, frame, userData in
            guard let frame = unsafe frame, let userData = unsafe userData else {
                return NGHTTP2_ERR_CALLBACK_FAILURE.rawValue
            }
            unsafe Borrowed<ServerSession>(userData).use { unsafe $0.frameReceived(frame) }
            return 0
        }
        unsafe nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks) {
            _, frame, error, userData in
            guard let frame = unsafe frame, let userData = unsafe userData else {
                return NGHTTP2_ERR_CALLBACK_FAILURE.rawValue
            }
            unsafe Borrowed<ServerSession>(userData).use { unsafe $0.frameRefused(frame, error) }
            return 0
        }
        unsafe nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks) {
            _, _, streamID, data, count, userData in
            unsafe withSession(userData) { session in
                guard let data = unsafe data else { return }
                let bytes = unsafe RawSpan(_unsafeStart: data, byteCount: count)
                session.bodyReceived(streamID, bytes)
            }
        }
        unsafe nghttp2_session_callbacks_set_on_stream_close_callback(callbacks) {
            _, streamID, code, userData in
            unsafe withSession(userData) { $0.streamClosed(streamID, code: code) }
        }
    }

    private func setServerSending(_ callbacks: OpaquePointer?) {
        unsafe nghttp2_session_callbacks_set_on_frame_send_callback(callbacks) {
            _, frame, userData in
            guard let frame = unsafe frame, let userData = unsafe userData else {
                return NGHTTP2_ERR_CALLBACK_FAILURE.rawValue
            }
            unsafe Borrowed<ServerSession>(userData).use { unsafe $0.frameSent(frame) }
            return 0
        }
        unsafe nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks) {
            _, frame, _, userData in
            guard let frame = unsafe frame, let userData = unsafe userData else {
                return NGHTTP2_ERR_CALLBACK_FAILURE.rawValue
            }
            unsafe Borrowed<ServerSession>(userData).use { unsafe $0.frameNotSent(frame) }
            return 0
        }
        unsafe nghttp2_session_callbacks_set_send_data_callback(callbacks) {
            _, _, frameHeader, count, source, userData in
            guard let pointer = unsafe source?.pointee.ptr, let frameHeader = unsafe frameHeader,
                let userData = unsafe userData
            else { return NGHTTP2_ERR_CALLBACK_FAILURE.rawValue }
            return unsafe Borrowed<ServerSession>(userData).use { session in
                unsafe Borrowed<Exchange>(pointer).use { exchange in
                    unsafe session.frameSending(exchange, frameHeader, count).code
                }
            }
        }
    }
}
