internal import CNghttp2

extension PeerSession {
    /// The session behind nghttp2's user data; it outlives every callback.
    static func from(_ userData: UnsafeMutableRawPointer?) -> PeerSession? {
        guard let userData = unsafe userData else { return nil }
        return unsafe Unmanaged<PeerSession>.fromOpaque(userData).takeUnretainedValue()
    }

    func frameReceived(_ frame: nghttp2_frame) {
        let stream = unsafe frame.hd.stream_id
        let flags = unsafe frame.hd.flags
        switch unsafe nghttp2_frame_type(UInt32(frame.hd.type)) {
        case NGHTTP2_HEADERS:
            events.append(.headers(stream: stream, kindOfFields(), fields))
            fields = []
            if flags & 1 != 0 { events.append(.end(stream: stream)) }
        case NGHTTP2_DATA:
            if flags & 1 != 0 { events.append(.end(stream: stream)) }
        case NGHTTP2_RST_STREAM:
            events.append(.reset(stream: stream, code: unsafe frame.rst_stream.error_code))
        case NGHTTP2_SETTINGS where flags & 1 == 0:
            let settings = unsafe (0..<frame.settings.niv).map {
                let entry = unsafe frame.settings.iv[$0]
                return PeerSetting(UInt16(truncatingIfNeeded: entry.settings_id), entry.value)
            }
            events.append(.settings(settings))
        case NGHTTP2_PING:
            let payload = unsafe frame.ping.opaque_data
            let bytes = unsafe withUnsafeBytes(of: payload) { unsafe Array($0) }
            events.append(flags & 1 == 0 ? .ping(bytes) : .pingAck(bytes))
        case NGHTTP2_GOAWAY:
            let goAway = unsafe frame.goaway
            let debug = unsafe Array(
                UnsafeBufferPointer(start: goAway.opaque_data, count: goAway.opaque_data_len))
            let last = unsafe goAway.last_stream_id
            events.append(.goAway(lastStream: last, code: unsafe goAway.error_code, debug: debug))
        default: break
        }
    }

    private func kindOfFields() -> HeadersKind {
        if role == .server { return fields.first(":method") == nil ? .trailers : .request }
        guard let status = fields.first(":status") else { return .trailers }
        return status.hasPrefix("1") ? .interim : .response
    }

    func frameSent(_ frame: nghttp2_frame) {
        let isLast = unsafe frame.hd.flags & 1 != 0
        let type = unsafe nghttp2_frame_type(UInt32(frame.hd.type))
        let stream = unsafe frame.hd.stream_id
        if type == NGHTTP2_RST_STREAM, resetsAsked.remove(stream) == nil {
            let code = unsafe frame.rst_stream.error_code
            events.append(.protested(stream: stream, code: code))
        }
        if type == NGHTTP2_GOAWAY, !wasGoAwayAsked {
            events.append(.protested(stream: 0, code: unsafe frame.goaway.error_code))
        }
        guard isLast, type == NGHTTP2_DATA || type == NGHTTP2_HEADERS else { return }
        // A RST_STREAM submitted earlier would overtake what is queued.
        guard let body = outgoing.removeValue(forKey: stream), let end = body.end else { return }
        if let code = end.thenReset { resetsDue.append((stream, code)) }
    }

    /// Fills a DATA frame; says how many bytes, or nghttp2's code for "not now".
    func nextPortion(
        _ stream: Int32, _ buffer: UnsafeMutableBufferPointer<UInt8>, _ flags: inout UInt32
    ) -> Int {
        guard let body = outgoing[stream] else { return Int(NGHTTP2_ERR_DEFERRED.rawValue) }
        let count = min(buffer.count, body.left, dataFrameBytesMax)
        if count == 0, body.end == nil {
            outgoing[stream]?.isDeferred = true
            return Int(NGHTTP2_ERR_DEFERRED.rawValue)
        }
        unsafe body.bytes[body.start..<body.start + count].withUnsafeBytes {
            unsafe UnsafeMutableRawBufferPointer(buffer).copyMemory(from: $0)
        }
        outgoing[stream]?.advance(count)
        if count == body.left, let end = body.end {
            flags |= NGHTTP2_DATA_FLAG_EOF.rawValue
            if !end.trailers.isEmpty {
                flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM.rawValue
                unsafe withFields(end.trailers) { pointer, count in
                    unsafe _ = nghttp2_submit_trailer(session, stream, pointer, count)
                }
            }
        }
        return count
    }

    /// Calls `body` with the fields in nghttp2's form, which it copies.
    func withFields<Result>(
        _ fields: [HeaderField], _ body: (UnsafePointer<nghttp2_nv>?, Int) -> Result
    ) -> Result {
        var text: [UInt8] = []
        for field in fields {
            text.append(contentsOf: field.name.utf8)
            text.append(contentsOf: field.value.utf8)
        }
        return unsafe text.withUnsafeMutableBufferPointer { text in
            var list: [nghttp2_nv] = unsafe []
            var offset = 0
            for field in fields {
                let start = unsafe text.baseAddress.map { unsafe $0 + offset }
                let (nameLength, length) = (field.name.utf8.count, field.value.utf8.count)
                unsafe list.append(
                    nghttp2_nv(
                        name: start, value: start.map { unsafe $0 + nameLength },
                        namelen: nameLength, valuelen: length, flags: 0))
                offset += nameLength + length
            }
            return unsafe list.withUnsafeBufferPointer { unsafe body($0.baseAddress, $0.count) }
        }
    }
}

func makeOptions(_ terms: PeerSession.Terms) -> OpaquePointer? {
    var options: OpaquePointer?
    unsafe _ = nghttp2_option_new(&options)
    unsafe nghttp2_option_set_no_auto_window_update(options, terms.growsWindowsByItself ? 0 : 1)
    // A peer in a test may be reset as often as the test likes.
    unsafe nghttp2_option_set_stream_reset_rate_limit(options, 1 << 40, 1 << 40)
    return unsafe options
}

var bodyProvider: nghttp2_data_provider {
    var provider = unsafe nghttp2_data_provider()
    unsafe provider.read_callback = { _, stream, buffer, length, flags, _, userData in
        guard let peer = unsafe PeerSession.from(userData), let flags = unsafe flags else {
            return Int(NGHTTP2_ERR_CALLBACK_FAILURE.rawValue)
        }
        let room = unsafe UnsafeMutableBufferPointer(start: buffer, count: length)
        return unsafe peer.nextPortion(stream, room, &flags.pointee)
    }
    return unsafe provider
}

func makeCallbacks() -> OpaquePointer? {
    var callbacks: OpaquePointer?
    unsafe _ = nghttp2_session_callbacks_new(&callbacks)
    unsafe nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks) { _, _, userData in
        unsafe PeerSession.from(userData)?.fields = []
        return 0
    }
    unsafe nghttp2_session_callbacks_set_on_header_callback(callbacks) {
        _, _, name, nameLength, value, length, _, userData in
        let name = unsafe UnsafeBufferPointer(start: name, count: nameLength)
        let value = unsafe UnsafeBufferPointer(start: value, count: length)
        let field = unsafe HeaderField(
            String(decoding: name, as: UTF8.self), String(decoding: value, as: UTF8.self))
        unsafe PeerSession.from(userData)?.fields.append(field)
        return 0
    }
    // A field that nghttp2 leaves out, as it has a character that none may have.
    unsafe nghttp2_session_callbacks_set_on_invalid_header_callback(callbacks) {
        _, frame, _, _, _, _, _, userData in
        let stream = unsafe frame?.pointee.hd.stream_id ?? 0
        let error = NGHTTP2_ERR_HTTP_HEADER.rawValue
        unsafe PeerSession.from(userData)?.events.append(.invalid(stream: stream, error: error))
        return 0
    }
    unsafe nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks) { _, frame, userData in
        guard let frame = unsafe frame else { return 0 }
        unsafe PeerSession.from(userData)?.frameReceived(frame.pointee)
        return 0
    }
    unsafe nghttp2_session_callbacks_set_on_frame_send_callback(callbacks) { _, frame, userData in
        guard let frame = unsafe frame else { return 0 }
        unsafe PeerSession.from(userData)?.frameSent(frame.pointee)
        return 0
    }
    unsafe nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks) {
        _, _, stream, data, length, userData in
        let bytes = unsafe Array(UnsafeBufferPointer(start: data, count: length))
        unsafe PeerSession.from(userData)?.events.append(.data(stream: stream, bytes))
        return 0
    }
    unsafe nghttp2_session_callbacks_set_on_stream_close_callback(callbacks) {
        _, stream, code, userData in
        guard let peer = unsafe PeerSession.from(userData) else { return 0 }
        peer.outgoing[stream] = nil
        peer.events.append(.closed(stream: stream, code: code))
        return 0
    }
    unsafe nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(callbacks) {
        _, frame, error, userData in
        let stream = unsafe frame?.pointee.hd.stream_id ?? 0
        unsafe PeerSession.from(userData)?.events.append(.invalid(stream: stream, error: error))
        return 0
    }
    return unsafe callbacks
}
