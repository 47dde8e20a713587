internal import CNghttp2
internal import Rules
internal import Wire

/// The side of a connection that speaks to a server. A stream's user data is its attempt.
@safe
final class ClientSession: HTTP2Session {
    /// What the server allows (RFC 9113, 6.5.2); 100 until its SETTINGS came.
    private(set) var streamsMax = 100
    @safe @exclusivity(unchecked) private var current: Borrowed<Attempt>?
    @safe @exclusivity(unchecked) private var currentID: Int32 = 0

    init(_ workspace: Workspace, _ limits: UpstreamLimits) {
        let windows = Windows(
            stream: limits.streamWindowBytes,
            streamMax: max(limits.streamWindowBytes, limits.streamWindowBytesMax),
            connection: limits.connectionWindowBytes)
        super.init(workspace, windows, FrameBudget(.init(limits)))
        let callbacks = workspace.clientCallbacks
        unsafe handle = callbacks.makeClient(userData: Borrowed(self).pointer, workspace.blocks)
        submitSettings([
            (NGHTTP2_SETTINGS_ENABLE_PUSH, 0),
            (NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, UInt32(windows.stream)),
            (NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, UInt32(clamping: limits.headerListBytes)),
        ])
    }

    // MARK: Verbs

    var allowsRequests: Bool {
        if isTerminated { return false }
        return unsafe nghttp2_session_check_request_allowed(handle) != 0
    }

    /// The stream's ID, or nil where the session takes no more.
    func submitRequest(_ attempt: Attempt, _ headers: HeaderBlock, hasBody: Bool) -> Int32? {
        let pointer = unsafe Borrowed(attempt).pointer
        var provider = unsafe nghttp2_data_provider(
            source: nghttp2_data_source(ptr: pointer), read_callback: readRequestBody)
        let streamID = unsafe withUnsafePointer(to: &provider) {
            unsafe nghttp2_submit_request(
                handle, nil, headers.fields, headers.count, hasBody ? $0 : nil, pointer)
        }
        return streamID > 0 ? streamID : nil
    }

    // MARK: Noting what was received (called by the thunks)

    @inline(always)
    private func attempt(of streamID: Int32) -> Borrowed<Attempt>? {
        if currentID == streamID { return current }
        currentID = streamID
        current = unsafe nghttp2_session_get_stream_user_data(handle, streamID)
            .map { unsafe Borrowed($0) }
        return current
    }

    @inline(never)
    fileprivate func headersBegan(_ frame: UnsafePointer<nghttp2_frame>) {
        let now = workspace.use { $0.now }
        headerBlockBegan(unsafe frame.pointee.hd.stream_id, now: now)
        notes.streamsBegan &+= 1
        budget.streamBegan(now: now)
        _ = attempt(of: unsafe frame.pointee.hd.stream_id)
    }

    @inline(never)
    fileprivate func headerReceived(
        _ streamID: Int32, _ name: ByteView, _ value: ByteView, flags: UInt8
    ) -> Bool {
        // Looked up again: a block may arrive in several reads, with other streams' frames between.
        guard let attempt = attempt(of: streamID) else { return true }
        let verdict = attempt.use { attempt in
            blocks.use { pool in attempt.responseFieldReceived(name, value, flags, pool) }
        }
        if verdict == .abusive { trip(.upstreamHeaderList) }
        if verdict == .malformed { reset(streamID, code: .protocolError) }
        return verdict == .taken
    }

    @inline(never)
    fileprivate func frameReceived(_ frame: UnsafePointer<nghttp2_frame>) {
        let header = unsafe frame.pointee.hd
        let isEnd = header.flags & UInt8(NGHTTP2_FLAG_END_STREAM.rawValue) != 0
        switch UInt32(header.type) {
        case NGHTTP2_HEADERS.rawValue:
            headerBlockEnded()
            guard let attempt = attempt(of: header.stream_id) else { return }
            note(attempt) { attempt in
                if attempt.responseBlockReceived(isEnd: isEnd) { return }
                reset(header.stream_id, code: .protocolError)
            }
        case NGHTTP2_DATA.rawValue:
            let padding = unsafe frame.pointee.data.padlen
            trip(budget.dataReceived(isEmpty: header.length <= padding && !isEnd))
            guard isEnd, let attempt = attempt(of: header.stream_id) else { return }
            note(attempt) { attempt in
                if attempt.response.isWholeBody { return attempt.response.flow.endReceived() }
                reset(header.stream_id, code: .protocolError)
            }
        case NGHTTP2_SETTINGS.rawValue:
            settingsFrameReceived(isAck: header.isAck)
            streamsMax = Int(
                unsafe nghttp2_session_get_remote_settings(
                    handle, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS))
        case NGHTTP2_PING.rawValue:
            pingFrameReceived(isAck: header.isAck)
        case NGHTTP2_RST_STREAM.rawValue:
            attempt(of: header.stream_id)?.use { $0.wasReset = true }
            workspace.use { trip(budget.streamReset(isEarly: false, now: $0.now)) }
        case NGHTTP2_GOAWAY.rawValue:
            farewell.isReceived = true
            farewell.receivedCode = unsafe frame.pointee.goaway.error_code
            notes.goAway = unsafe GoAway(
                lastStreamID: frame.pointee.goaway.last_stream_id,
                code: frame.pointee.goaway.error_code)
        default: return
        }
    }

    @inline(never)
    fileprivate func bodyReceived(_ streamID: Int32, _ bytes: RawSpan) {
        dataReceived(bytes.byteCount)
        guard let attempt = attempt(of: streamID) else { return }
        guard attempt.use({ $0.admitsBody(bytes.byteCount) }) else {
            return reset(streamID, code: .protocolError)
        }
        let now = workspace.use { $0.now }
        segments.use { pool in
            attempt.use { attempt in
                guard attempt.messageBytesMax < .max else {
                    return attempt.responseBytesReceived(bytes, pool, now: now)
                }
                let count = unsafe bytes.withUnsafeBytes {
                    unsafe attempt.admitted(Span(_unsafeBytes: $0))
                }
                attempt.responseBytesReceived(bytes.extracting(first: count), pool, now: now)
                if count < bytes.byteCount { attempt.foundLargeMessage() }
            }
        }
        note(attempt) { _ in }
    }

    /// Changes the attempt, and lists it for processing.
    @inline(always)
    private func note(_ borrowed: Borrowed<Attempt>, _ change: (Attempt) -> Void) {
        borrowed.use { attempt in
            if attempt.state == .abandoned { return }
            change(attempt)
            if attempt.response.flow.note() {
                workspace.use { $0.events.append(.responseProgressed(borrowed)) }
            }
        }
    }

    @inline(never)
    fileprivate func streamClosed(_ streamID: Int32, code: UInt32) {
        if streamID == headerBlockStreamID { headerBlockEnded() }
        guard let attempt = attempt(of: streamID) else { return }
        current = nil
        workspace.use { $0.events.append(.upstreamClosed(attempt, code: code)) }
    }

    @inline(always)
    fileprivate func frameSent(_ frame: UnsafePointer<nghttp2_frame>) {
        let type = unsafe frame.pointee.hd.type
        countFrameSent(type)
        if type == UInt8(NGHTTP2_GOAWAY.rawValue) { unsafe goAwaySent(frame.pointee.goaway) }
    }

    /// nghttp2 closes the stream itself, as refused: what failed to send was never processed.
    fileprivate func frameNotSent(_ frame: UnsafePointer<nghttp2_frame>) {
        let header = unsafe frame.pointee.hd
        guard header.type == UInt8(NGHTTP2_HEADERS.rawValue),
            let attempt = attempt(of: header.stream_id)
        else { return }
        attempt.use { $0.failedToSend = true }
    }

    @inline(always)
    fileprivate func frameSending(
        _ attempt: Attempt, _ frameHeader: UnsafeRawPointer, _ byteCount: Int
    ) -> DataSent {
        guard output.use({ $0.takesData(byteCount) }) else {
            isOutputFull = true
            return .outputFull
        }
        // Discarded between the question for bytes and now: the socket was full in the middle.
        guard attempt.state == .streaming,
            attempt.exchange.use({ $0.request.body.unread(from: attempt.cursor) >= byteCount })
        else { return .gone }
        attempt.exchange.use { exchange in
            output.use { output in
                unsafe output.append(frameHeader, 9)
                exchange.request.body.copy(byteCount, from: &attempt.cursor, to: output)
            }
            if !exchange.keepsRequest {
                segments.use { exchange.request.body.drop(before: &attempt.cursor, returning: $0) }
            }
            workspace.use { exchange.requestBytesPassed(upTo: attempt.cursor.position, $0) }
        }
        return .taken
    }
}

// MARK: Thunks

private let readRequestBody: nghttp2_data_source_read_callback = {
    _, streamID, _, limit, flags, source, userData in
    guard let source = unsafe source?.pointee.ptr, let userData = unsafe userData,
        let flags = unsafe flags
    else { return Int(NGHTTP2_ERR_CALLBACK_FAILURE.rawValue) }
    return unsafe Borrowed<Attempt>(source).use { attempt in
        // Given up: the reset is on its way, and the request's bytes are not this stream's any
        // more.
        if attempt.state != .streaming { return Int(NGHTTP2_ERR_DEFERRED.rawValue) }
        return attempt.exchange.use { exchange in
            let available = exchange.request.body.unread(from: attempt.cursor)
            let portion = attempt.sink.portion(
                exchange.request.flow, available: available, limit: limit)
            return unsafe portion.answer(flags) {
                unsafe Borrowed<ClientSession>(userData).use {
                    $0.submitTrailers(streamID, exchange.request.trailers)
                }
            }
        }
    }
}

/// For callbacks that are told of no frame. Where there is one they look at it themselves:
/// a closure that takes it along is not inlined, which costs 600 instructions a call.
@inline(always)
private func withSession(
    _ userData: UnsafeMutableRawPointer?, _ body: (ClientSession) -> Void
) -> CInt {
    guard let userData = unsafe userData else { return NGHTTP2_ERR_CALLBACK_FAILURE.rawValue }
    unsafe Borrowed<ClientSession>(userData).use(body)
    return 0
}

extension SessionCallbacks {
    static func client() -> SessionCallbacks {
        let callbacks = SessionCallbacks(continuations: 64)
        unsafe callbacks.setClientReceiving(callbacks.callbacks)
        unsafe callbacks.setClientSending(callbacks.callbacks)
        return callbacks
    }

    private func setClientReceiving(_ callbacks: OpaquePointer?) {
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
            unsafe Borrowed<ClientSession>(userData).use { unsafe $0.headersBegan(frame) }
            return 0
        }
        unsafe nghttp2_session_callbacks_set_on_header_callback(callbacks) {
            _, frame, name, nameCount, value, valueCount, flags, userData in
            guard let frame = unsafe frame, let userData = unsafe userData else {
                return NGHTTP2_ERR_CALLBACK_FAILURE.rawValue
            }
            let isTaken = unsafe Borrowed<ClientSession>(userData).use { session in
                unsafe session.headerReceived(
                    frame.pointee.hd.stream_id, ByteView(name, nameCount),
                    ByteView(value, valueCount), flags: flags)
            }
            return isTaken ? 0 : NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE.rawValue
        }
        unsafe nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks) {
            _, frame, userData in
            guard let frame = unsafe frame, let userData = unsafe userData else {
                return NGHTTP2_ERR_CALLBACK_FAILURE.rawValue
            }
            unsafe Borrowed<ClientSession>(userData).use { unsafe $0.frameReceived(frame) }
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

    private func setClientSending(_ callbacks: OpaquePointer?) {
        unsafe nghttp2_session_callbacks_set_on_frame_send_callback(callbacks) {
            _, frame, userData in
            guard let frame = unsafe frame, let userData = unsafe userData else {
                return NGHTTP2_ERR_CALLBACK_FAILURE.rawValue
            }
            unsafe Borrowed<ClientSession>(userData).use { unsafe $0.frameSent(frame) }
            return 0
        }
        unsafe nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks) {
            _, frame, _, userData in
            guard let frame = unsafe frame, let userData = unsafe userData else {
                return NGHTTP2_ERR_CALLBACK_FAILURE.rawValue
            }
            unsafe Borrowed<ClientSession>(userData).use { unsafe $0.frameNotSent(frame) }
            return 0
        }
        unsafe nghttp2_session_callbacks_set_send_data_callback(callbacks) {
            _, _, frameHeader, count, source, userData in
            guard let pointer = unsafe source?.pointee.ptr, let frameHeader = unsafe frameHeader,
                let userData = unsafe userData
            else { return NGHTTP2_ERR_CALLBACK_FAILURE.rawValue }
            return unsafe Borrowed<ClientSession>(userData).use { session in
                unsafe Borrowed<Attempt>(pointer).use { attempt in
                    unsafe session.frameSending(attempt, frameHeader, count).code
                }
            }
        }
    }
}
