internal import CNghttp2

/// One side of an HTTP/2 connection, without a socket: bytes in, events and bytes out.
///
/// It is the proxy's counterpart in the demo and in tests: plain and correct, not fast. Events are
/// recorded while bytes are received and handled by the caller afterwards; every verb only queues,
/// and `takeOutput` gives what to send.
@safe
public final class PeerSession {
    public enum Role: Sendable { case client, server }

    /// What this side announces and how it behaves.
    public struct Terms: Sendable {
        /// SETTINGS_INITIAL_WINDOW_SIZE; 0 until `grantWindow` is a legal choice.
        public var streamWindowBytes: UInt32 = 65_535
        /// The connection's receive window; below 65,535 it takes effect as it is used up.
        public var connectionWindowBytes: Int32 = 65_535
        /// SETTINGS_MAX_CONCURRENT_STREAMS, where announced.
        public var concurrentStreams: UInt32?
        /// False: windows grow again only by `consume` and `grantWindow`.
        public var growsWindowsByItself = true
        /// The longest DATA frame this side sends.
        public var dataFrameBytesMax = 16_384

        public init() {}
    }

    public let role: Role
    /// Streams whose body this side still sends; looked up, never iterated.
    var outgoing: [Int32: OutgoingBody] = [:]
    var events: [PeerEvent] = []
    /// The header block being received.
    var fields: [HeaderField] = []
    /// Streams that a verb reset, and whether one sent GOAWAY: any other is nghttp2's own protest.
    var resetsAsked: Set<Int32> = []
    var wasGoAwayAsked = false
    /// RST_STREAM to submit once the frame being sent is out.
    var resetsDue: [(stream: Int32, code: UInt32)] = []
    let dataFrameBytesMax: Int
    private var output: [UInt8] = []
    private var outputStart = 0
    /// Nil only if nghttp2 had no memory at the start: every verb then does nothing.
    let session: OpaquePointer?

    public init(_ role: Role, _ terms: Terms = Terms()) {
        self.role = role
        dataFrameBytesMax = max(1, terms.dataFrameBytesMax)
        var made: OpaquePointer?
        let callbacks = unsafe makeCallbacks()
        let options = unsafe makeOptions(terms)
        switch role {
        case .client: unsafe _ = nghttp2_session_client_new2(&made, callbacks, nil, options)
        case .server: unsafe _ = nghttp2_session_server_new2(&made, callbacks, nil, options)
        }
        unsafe session = made
        unsafe nghttp2_session_callbacks_del(callbacks)
        unsafe nghttp2_option_del(options)
        unsafe nghttp2_session_set_user_data(session, Unmanaged.passUnretained(self).toOpaque())
        announce(terms)
    }

    deinit { unsafe nghttp2_session_del(session) }

    private func announce(_ terms: Terms) {
        var settings = [PeerSetting.streamWindow(terms.streamWindowBytes)]
        if role == .client { settings.append(PeerSetting(2, 0)) }
        if let streams = terms.concurrentStreams { settings.append(.concurrentStreams(streams)) }
        announce(settings)
        unsafe _ = nghttp2_session_set_local_window_size(session, 0, 0, terms.connectionWindowBytes)
    }

    // MARK: Bytes and events

    /// Takes what the other side sent; what it meant is in `takeEvents`.
    public func receive(_ bytes: [UInt8]) throws(PeerFailure) {
        guard !bytes.isEmpty else { return }
        let result = unsafe bytes.withUnsafeBufferPointer {
            unsafe nghttp2_session_mem_recv(session, $0.baseAddress, $0.count)
        }
        if result < 0 {
            let text = unsafe String(cString: nghttp2_strerror(Int32(result)))
            throw PeerFailure(code: Int32(result), description: text)
        }
    }

    /// The events since the last call.
    public func takeEvents() -> [PeerEvent] {
        defer { events.removeAll() }
        return events
    }

    /// At most `limit` bytes to send, in order; empty where there is nothing to say.
    public func takeOutput(limit: Int = .max) -> [UInt8] {
        while output.count - outputStart < limit {
            var bytes: UnsafePointer<UInt8>?
            let count = unsafe nghttp2_session_mem_send(session, &bytes)
            guard count > 0, let start = unsafe bytes else { break }
            unsafe output.append(contentsOf: UnsafeBufferPointer(start: start, count: count))
            for due in resetsDue { reset(due.stream, due.code) }
            resetsDue.removeAll()
        }
        let count = min(limit, output.count - outputStart)
        let taken = Array(output[outputStart..<outputStart + count])
        outputStart += count
        if outputStart == output.count {
            output.removeAll(keepingCapacity: true)
            outputStart = 0
        }
        return taken
    }

    /// True where neither side has anything more to say: time to close the socket.
    public var isFinished: Bool {
        unsafe nghttp2_session_want_read(session) == 0 && nghttp2_session_want_write(session) == 0
            && output.count == outputStart
    }

    // MARK: Messages

    /// Opens a stream and gives its number; a negative one is nghttp2's error code. Beyond the
    /// other side's limit of concurrent streams the request waits by itself.
    public func request(_ fields: [HeaderField], isLast: Bool) -> Int32 {
        let stream = unsafe withFields(fields) { pointer, count in
            guard !isLast else {
                return unsafe nghttp2_submit_request(session, nil, pointer, count, nil, nil)
            }
            var provider = unsafe bodyProvider
            return unsafe nghttp2_submit_request(session, nil, pointer, count, &provider, nil)
        }
        if stream > 0, !isLast { outgoing[stream] = OutgoingBody() }
        return stream
    }

    /// A 1xx response.
    public func interim(_ stream: Int32, _ fields: [HeaderField]) {
        unsafe withFields(fields) { pointer, count in
            unsafe _ = nghttp2_submit_headers(session, 0, stream, nil, pointer, count, nil)
        }
    }

    /// The final response's header block; unless it is the last frame, `send` and `finish` follow.
    public func respond(_ stream: Int32, _ fields: [HeaderField], isLast: Bool) {
        let failure = unsafe withFields(fields) { pointer, count in
            guard !isLast else {
                return unsafe nghttp2_submit_response(session, stream, pointer, count, nil)
            }
            var provider = unsafe bodyProvider
            return unsafe nghttp2_submit_response(session, stream, pointer, count, &provider)
        }
        if failure == 0, !isLast { outgoing[stream] = OutgoingBody() }
    }

    /// More of the body; ignored once the stream is gone.
    public func send(_ stream: Int32, _ bytes: [UInt8]) {
        guard !bytes.isEmpty, var body = outgoing.removeValue(forKey: stream) else { return }
        body.append(bytes)
        let mustResume = body.isDeferred
        body.isDeferred = false
        outgoing[stream] = body
        if mustResume { unsafe nghttp2_session_resume_data(session, stream) }
    }

    /// Ends the body, with trailers unless they are empty. `thenReset`: RST_STREAM right after.
    public func finish(
        _ stream: Int32, trailers: [HeaderField] = [], thenReset code: UInt32? = nil
    ) {
        guard outgoing[stream] != nil else { return }
        outgoing[stream]?.end = .init(trailers: trailers, thenReset: code)
        let mustResume = outgoing[stream]?.isDeferred ?? false
        outgoing[stream]?.isDeferred = false
        if mustResume { unsafe nghttp2_session_resume_data(session, stream) }
    }

    /// Bytes of a stream's body that were given to `send` and are not framed yet.
    public func unsentBytes(_ stream: Int32) -> Int { outgoing[stream]?.left ?? 0 }

    // MARK: Control

    public func reset(_ stream: Int32, _ code: UInt32) {
        outgoing[stream] = nil
        resetsAsked.insert(stream)
        unsafe nghttp2_submit_rst_stream(session, 0, stream, code)
    }

    /// The first GOAWAY of two: no new streams, please, but those under way are served.
    public func shutdownNotice() {
        wasGoAwayAsked = true
        unsafe nghttp2_submit_shutdown_notice(session)
    }

    /// GOAWAY; `lastStream` nil names the last stream that was processed.
    public func goAway(lastStream: Int32? = nil, _ code: UInt32, debug: [UInt8] = []) {
        wasGoAwayAsked = true
        let last = unsafe lastStream ?? nghttp2_session_get_last_proc_stream_id(session)
        unsafe debug.withUnsafeBufferPointer {
            unsafe _ = nghttp2_submit_goaway(session, 0, last, code, $0.baseAddress, $0.count)
        }
    }

    public func ping(_ payload: [UInt8]) {
        let payload = Array((payload + [UInt8](repeating: 0, count: 8)).prefix(8))
        unsafe payload.withUnsafeBufferPointer {
            unsafe _ = nghttp2_submit_ping(session, 0, $0.baseAddress)
        }
    }

    public func announce(_ settings: [PeerSetting]) {
        let entries = settings.map {
            nghttp2_settings_entry(settings_id: Int32($0.identifier), value: $0.value)
        }
        unsafe entries.withUnsafeBufferPointer {
            unsafe _ = nghttp2_submit_settings(session, 0, $0.baseAddress, $0.count)
        }
    }

    /// Says that received bytes were dealt with, so that their windows may grow again: the stream's
    /// and the connection's; for stream 0 the connection's alone.
    public func consume(_ stream: Int32, _ bytes: Int) {
        if stream == 0 {
            unsafe nghttp2_session_consume_connection(session, bytes)
        } else {
            unsafe nghttp2_session_consume(session, stream, bytes)
        }
    }

    /// WINDOW_UPDATE beyond what was received; stream 0 is the connection.
    public func grantWindow(_ stream: Int32, _ bytes: Int32) {
        unsafe nghttp2_submit_window_update(session, 0, stream, bytes)
    }
}

/// A body on its way out.
struct OutgoingBody {
    struct End {
        var trailers: [HeaderField]
        var thenReset: UInt32?
    }

    /// nghttp2 asked while there was nothing to send and has to be told when there is.
    var isDeferred = false
    var end: End?
    private(set) var bytes: [UInt8] = []
    private(set) var start = 0
    var left: Int { bytes.count - start }

    mutating func append(_ more: [UInt8]) {
        if start == bytes.count {
            bytes = more
            start = 0
        } else {
            bytes.append(contentsOf: more)
        }
    }

    mutating func advance(_ count: Int) { start += count }
}
