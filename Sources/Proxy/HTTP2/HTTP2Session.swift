internal import CNghttp2
internal import Glibc

/// What both sides' sessions share: the nghttp2 session, its windows and what is said on it.
///
/// Callbacks only store bytes and note events in the workspace; nothing is decided in them, so that
/// none is entered while another part of the session is being changed.
@safe
class HTTP2Session {
    enum Received {
        case fine
        /// The peer broke the protocol beyond repair; nghttp2 may still have a GOAWAY to send.
        case broken(reason: String)
    }

    enum Encoded { case everything, outputFull, failed }

    /// What was noted about the connection as a whole; taken after each read.
    struct Notes {
        var settingsReceived = false
        var settingsAcked = false
        var pingAcked = false
        /// A request (or a response) began in this read.
        var streamsBegan = 0
        var goAway: GoAway?
        var tripped: Limit?
        /// A limit that ended a stream only.
        var exceeded: Limit?
        var breach: Breach?
    }

    /// What ended the connection that is no limit: the peer does not keep to the protocol.
    struct Breach {
        var code: HTTP2Code
        /// In nghttp2's words, or Weir's.
        var reason: String
    }

    struct GoAway {
        var lastStreamID: Int32
        var code: UInt32
    }

    /// How the connection ends, as far as that was said: for the accounts of what was on it. Codes
    /// are NO_ERROR where nothing was sent or received.
    struct Farewell: BitwiseCopyable {
        /// The peer has sent GOAWAY.
        var isReceived = false
        /// Weir ended it.
        var isTerminated = false
        var limit: Limit?
        var sentCode: UInt32 = 0
        var receivedCode: UInt32 = 0
    }

    /// A stream's receive window: what it starts at and may grow to.
    struct Windows {
        var stream: Int32
        var streamMax: Int32
        var connection: Int32
    }

    let workspace: Borrowed<Workspace>
    let segments: Borrowed<SegmentPool>
    let blocks: Borrowed<BlockPool>
    let output: Borrowed<OutputBuffer>
    let windows: Windows
    var handle: OpaquePointer?
    @safe @exclusivity(unchecked) var budget: FrameBudget
    @safe @exclusivity(unchecked) var notes = Notes()
    /// When a header block began that has not ended; 0 outside of one.
    @safe @exclusivity(unchecked) private(set) var headerBlockSince: Int64 = 0
    /// Whose block it is. nghttp2 tells of no end where the stream closes in the middle of its
    /// block.
    @safe @exclusivity(unchecked) var headerBlockStreamID: Int32 = 0
    @safe @exclusivity(unchecked) var isOutputFull = false
    @safe @exclusivity(unchecked) private var unreportedBytes = 0
    @safe @exclusivity(unchecked) var farewell = Farewell()
    var isTerminated: Bool { farewell.isTerminated }

    init(_ workspace: Workspace, _ windows: Windows, _ budget: FrameBudget) {
        self.workspace = Borrowed(workspace)
        segments = Borrowed(workspace.segments)
        blocks = Borrowed(workspace.blocks)
        output = Borrowed(workspace.output)
        self.windows = windows
        self.budget = budget
    }

    deinit { unsafe nghttp2_session_del(handle) }

    func submitSettings(_ entries: [(id: nghttp2_settings_id, value: UInt32)]) {
        let list = entries.map {
            nghttp2_settings_entry(settings_id: Int32($0.id.rawValue), value: $0.value)
        }
        unsafe _ = list.withUnsafeBufferPointer { list in
            unsafe nghttp2_submit_settings(handle, 0, list.baseAddress, list.count)
        }
        unsafe _ = nghttp2_session_set_local_window_size(handle, 0, 0, windows.connection)
    }

    // MARK: Bytes

    func receive(_ buffer: ReadBuffer, _ count: Int) -> Received {
        // nghttp2 must not be fed after a termination (CVE-2026-27135).
        if isTerminated { return .fine }
        let bytes = unsafe buffer.bytes(count)
        let start = unsafe bytes.baseAddress?.assumingMemoryBound(to: UInt8.self)
        let result = unsafe nghttp2_session_mem_recv(handle, start, bytes.count)
        if result >= 0 { return .fine }
        if result == Int(NGHTTP2_ERR_TOO_MANY_CONTINUATIONS.rawValue) {
            notes.tripped = notes.tripped ?? .continuations
        } else if result == Int(NGHTTP2_ERR_FLOODED.rawValue) {
            notes.tripped = notes.tripped ?? .controlFramesQueued
        }
        return .broken(reason: unsafe String(cString: nghttp2_strerror(Int32(clamping: result))))
    }

    /// Encodes what there is to say, up to `byteLimit` or a full buffer.
    func encode(into output: OutputBuffer, byteLimit: Int) -> Encoded {
        isOutputFull = false
        while output.count < byteLimit, output.takesFrame {
            var bytes: UnsafePointer<UInt8>?
            let count = unsafe nghttp2_session_mem_send(handle, &bytes)
            if count < 0 { return .failed }
            guard count > 0, let bytes = unsafe bytes else {
                return isOutputFull ? .outputFull : .everything
            }
            unsafe output.append(bytes, count)
        }
        return .outputFull
    }

    var wantsWrite: Bool { unsafe nghttp2_session_want_write(handle) != 0 }
    /// False once nghttp2 has ended the session.
    var isReading: Bool { unsafe nghttp2_session_want_read(handle) != 0 }
    var isFinished: Bool { unsafe nghttp2_session_want_read(handle) == 0 && !wantsWrite }

    // MARK: Connection-level frames

    /// GOAWAY with an error; nothing is read any more, and the connection ends once it is sent.
    /// `limit` is why, where one tripped.
    func terminate(code: HTTP2Code, limit: Limit? = nil) {
        if isTerminated { return }
        farewell.isTerminated = true
        farewell.limit = limit
        farewell.sentCode = code.rawValue
        unsafe _ = nghttp2_session_terminate_session(handle, code.rawValue)
    }

    func submitPing() { unsafe _ = nghttp2_submit_ping(handle, 0, nil) }

    // MARK: Streams

    func resume(_ streamID: Int32) { unsafe _ = nghttp2_session_resume_data(handle, streamID) }

    func reset(_ streamID: Int32, code: HTTP2Code) {
        unsafe _ = nghttp2_submit_rst_stream(handle, 0, streamID, code.rawValue)
    }

    func submitTrailers(_ streamID: Int32, _ trailers: HeaderBlock) {
        unsafe _ = nghttp2_submit_trailer(handle, streamID, trailers.fields, trailers.count)
    }

    /// Reports DATA as received, in portions that matter: a slow stream must not stall the others,
    /// so the connection's window is credited on receipt, the stream's when its bytes were passed
    /// on.
    @inline(always)
    final func dataReceived(_ byteCount: Int) {
        unreportedBytes &+= byteCount
        guard unreportedBytes >= Int(windows.connection) / 4 else { return }
        unsafe _ = nghttp2_session_consume_connection(handle, unreportedBytes)
        unreportedBytes = 0
    }

    func credit(_ streamID: Int32, _ credit: StreamCredit) {
        if credit.window > 0 {
            unsafe _ = nghttp2_session_set_local_window_size(handle, 0, streamID, credit.window)
        }
        unsafe _ = nghttp2_session_consume_stream(handle, streamID, credit.byteCount)
    }

    // MARK: Frames as both sides count them

    @inline(always)
    final func headerBlockBegan(_ streamID: Int32, now: Int64) {
        headerBlockStreamID = streamID
        headerBlockSince = max(now, 1)
    }

    @inline(always)
    final func headerBlockEnded() { headerBlockSince = 0 }

    /// A frame that is neither DATA nor HEADERS.
    final func frameBegan() {
        let now = workspace.use { $0.now }
        trip(budget.quietFrameReceived(now: now))
    }

    func settingsFrameReceived(isAck: Bool) {
        if isAck {
            notes.settingsAcked = true
        } else {
            notes.settingsReceived = true
            let now = workspace.use { $0.now }
            trip(budget.settingsReceived(now: now))
        }
    }

    func pingFrameReceived(isAck: Bool) {
        if isAck {
            notes.pingAcked = true
        } else {
            trip(budget.pingReceived())
        }
    }

    @inline(always)
    final func countFrameSent(_ type: UInt8) {
        if type == UInt8(NGHTTP2_DATA.rawValue) {
            budget.dataSent()
        } else if type == UInt8(NGHTTP2_HEADERS.rawValue) {
            budget.headersSent()
        }
    }

    /// GOAWAY has left. Without a termination it is one of nghttp2's, or of a drain.
    final func goAwaySent(_ goAway: nghttp2_goaway) {
        if isTerminated { return }
        farewell.sentCode = unsafe goAway.error_code
        guard farewell.sentCode != HTTP2Code.noError.rawValue, notes.breach == nil else { return }
        let bytes = unsafe UnsafeBufferPointer(
            start: goAway.opaque_data, count: goAway.opaque_data_len)
        notes.breach = Breach(
            code: HTTP2Code(received: farewell.sentCode),
            reason: unsafe String(decoding: bytes, as: UTF8.self))
    }

    @inline(always)
    final func trip(_ limit: Limit?) {
        guard let limit, notes.tripped == nil else { return }
        notes.tripped = limit
    }
}

/// Error codes of RFC 9113, 7.
enum HTTP2Code: UInt32 {
    case noError = 0, protocolError, internalError, flowControlError, settingsTimeout
    case streamClosed, frameSizeError, refusedStream, cancel, compressionError
    case connectError, enhanceYourCalm, inadequateSecurity, http11Required

    /// As RFC 9113 writes it.
    var name: StaticString {
        switch self {
        case .noError: "NO_ERROR"
        case .protocolError: "PROTOCOL_ERROR"
        case .internalError: "INTERNAL_ERROR"
        case .flowControlError: "FLOW_CONTROL_ERROR"
        case .settingsTimeout: "SETTINGS_TIMEOUT"
        case .streamClosed: "STREAM_CLOSED"
        case .frameSizeError: "FRAME_SIZE_ERROR"
        case .refusedStream: "REFUSED_STREAM"
        case .cancel: "CANCEL"
        case .compressionError: "COMPRESSION_ERROR"
        case .connectError: "CONNECT_ERROR"
        case .enhanceYourCalm: "ENHANCE_YOUR_CALM"
        case .inadequateSecurity: "INADEQUATE_SECURITY"
        case .http11Required: "HTTP_1_1_REQUIRED"
        }
    }

    /// Codes that RFC 9113 does not define count as INTERNAL_ERROR (its section 7).
    init(received: UInt32) { self = HTTP2Code(rawValue: received) ?? .internalError }
}

/// The library that speaks HTTP/2.
public enum HTTP2Library {
    /// Its name and version, as linked in.
    public static var description: String {
        guard let info = unsafe nghttp2_version(0) else { return "nghttp2" }
        return "nghttp2 " + (unsafe String(cString: info.pointee.version_str))
    }
}
