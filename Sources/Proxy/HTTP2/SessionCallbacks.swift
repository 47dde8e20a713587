internal import CNghttp2

/// The callbacks and options that sessions of one kind share; a worker has one of each kind.
@safe
final class SessionCallbacks {
    private(set) var callbacks: OpaquePointer?
    private(set) var options: OpaquePointer?

    /// - continuations: nghttp2 1.52 counts reads of an incomplete frame header as CONTINUATION
    ///   frames, so its own default of 8 ends honest connections that dribble.
    init(continuations: Int) {
        unsafe nghttp2_option_new(&options)
        unsafe nghttp2_option_set_no_auto_window_update(options, 1)
        unsafe nghttp2_option_set_no_closed_streams(options, 1)
        // `MessageCheck` holds messages to RFC 9113, 8, at a third of the cost.
        unsafe nghttp2_option_set_no_http_messaging(options, 1)
        unsafe nghttp2_option_set_max_continuations(options, max(continuations, 1))
        // What Weir sends beyond is a response that no peer would take: answered as 502.
        unsafe nghttp2_option_set_max_send_header_block_length(options, 128 << 10)
        unsafe nghttp2_session_callbacks_new(&callbacks)
        countUnknownFrames()
    }

    /// nghttp2 drops frames of unknown types without a word. Declared as extensions, and refused
    /// one by one, they are told of when they begin.
    private func countUnknownFrames() {
        for type in UInt8(0x0a)...UInt8.max {
            unsafe nghttp2_option_set_user_recv_extension_type(options, type)
        }
        unsafe nghttp2_session_callbacks_set_unpack_extension_callback(callbacks) { _, _, _, _ in
            NGHTTP2_ERR_CANCEL.rawValue
        }
    }

    deinit {
        unsafe nghttp2_session_callbacks_del(callbacks)
        unsafe nghttp2_option_del(options)
    }

    func makeServer(
        userData: UnsafeMutableRawPointer, _ pool: BlockPool
    ) -> OpaquePointer? {
        var memory = unsafe pool.libraryMemory
        var session: OpaquePointer?
        let result = unsafe nghttp2_session_server_new3(
            &session, callbacks, userData, options, &memory)
        precondition(result == 0, "nghttp2 could not make a session: out of memory")
        return unsafe session
    }

    func makeClient(
        userData: UnsafeMutableRawPointer, _ pool: BlockPool
    ) -> OpaquePointer? {
        var memory = unsafe pool.libraryMemory
        var session: OpaquePointer?
        let result = unsafe nghttp2_session_client_new3(
            &session, callbacks, userData, options, &memory)
        precondition(result == 0, "nghttp2 could not make a session: out of memory")
        return unsafe session
    }
}

extension MessageFlow.Portion {
    /// Answers nghttp2's question for a body's next bytes; `submitTrailers` is called before the
    /// answer that ends the DATA where trailers follow.
    @inline(always)
    func answer(
        _ flags: UnsafeMutablePointer<UInt32>, submitTrailers: () -> Void
    ) -> Int {
        let noCopy = NGHTTP2_DATA_FLAG_NO_COPY.rawValue
        let end = NGHTTP2_DATA_FLAG_EOF.rawValue
        switch self {
        case .wait:
            return Int(NGHTTP2_ERR_DEFERRED.rawValue)
        case .more(let count):
            unsafe flags.pointee = noCopy
            return count
        case .last(let count):
            unsafe flags.pointee = noCopy | end
            return count
        case .lastBeforeTrailers(let count):
            unsafe flags.pointee = noCopy | end | NGHTTP2_DATA_FLAG_NO_END_STREAM.rawValue
            submitTrailers()
            return count
        }
    }
}

/// What became of a DATA frame whose bytes nghttp2 wanted sent.
enum DataSent {
    case taken, outputFull
    /// The bytes are not there any more: nghttp2 resets the stream.
    case gone

    var code: CInt {
        switch self {
        case .taken: 0
        case .outputFull: NGHTTP2_ERR_WOULDBLOCK.rawValue
        case .gone: NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE.rawValue
        }
    }
}
