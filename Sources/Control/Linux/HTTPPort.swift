internal import CLinux
internal import CMicroHTTPD
internal import CZlib
internal import Glibc
internal import Proxy
internal import Synchronization

/// What was asked for over HTTP/1.1.
struct HTTPRequest {
    var method: String
    /// Without the query.
    var path: String
    var acceptsGzip = false
    /// The user who asks, where the port is a unix socket.
    var userID: UInt32?
    /// The process that asks, where it is in sight.
    var processID: Int32 = 0
    /// The argument `level` of the query.
    var level: String?
    var body: [UInt8] = []
    /// There was more of it than is taken.
    var isTooLarge = false
}

struct HTTPResponse {
    var status: UInt32 = 200
    var contentType = "text/plain; charset=utf-8"
    var body: [UInt8] = []
    /// The methods of a path that does not take the one asked for.
    var allow: String?
    /// Sockets whose descriptors go along.
    var sockets: [ListeningSocket] = []
    /// Told when all of it was sent, or never will be.
    var sent: Answer<Bool>?

    init(_ status: UInt32 = 200, _ text: String) {
        self.status = status
        body = Array(text.utf8)
    }

    init(json: String) {
        contentType = "application/json"
        body = Array(json.utf8)
    }
}

/// A port that answers over HTTP/1.1, by libmicrohttpd on a thread of its own: nothing that is
/// asked there touches a worker.
@safe
final class HTTPPort {
    /// The library's own limit, which is never met: there it waits for a lock that it holds itself
    /// (0.9.75). `HTTPAcceptor` keeps a lower one.
    private static let connectionsMax = UInt32(4 * HTTPRoom.connectionsMax)
    /// A client that says or takes nothing for so long is closed.
    private static let timeoutSeconds: UInt32 = 10

    private final class Context {
        let answer: @Sendable (HTTPRequest) -> HTTPResponse
        let room = HTTPRoom()
        /// Somebody else answers from now on: connections end with their next answer.
        let isLeft = Atomic(false)
        init(_ answer: @escaping @Sendable (HTTPRequest) -> HTTPResponse) { self.answer = answer }
    }

    /// What has come of a request's body.
    fileprivate final class Upload {
        private static let bytesMax = 64 << 10
        private(set) var bytes: [UInt8] = []
        private(set) var isTooLarge = false
        /// Of the request's answer.
        var sent: Answer<Bool>?

        func append(_ piece: UnsafeRawBufferPointer) {
            guard bytes.count + piece.count <= Self.bytesMax else { return isTooLarge = true }
            unsafe bytes.append(contentsOf: piece)
        }
    }

    let socket: ListeningSocket
    private let context: Context
    private var daemon: OpaquePointer?
    private var acceptor: HTTPAcceptor?

    /// Nil where no thread or memory is left.
    init?(
        _ socket: ListeningSocket, answer: @escaping @Sendable (HTTPRequest) -> HTTPResponse
    ) {
        self.socket = socket
        context = Context(answer)
        let pointer = unsafe Unmanaged.passUnretained(context).toOpaque()
        unsafe daemon = weir_http_start(
            Self.connectionsMax, Self.timeoutSeconds, handleRequest, requestCompleted,
            connectionChanged, pointer)
        guard let daemon = unsafe daemon else { return nil }
        // As a number, which any thread may have: the library takes connections from any.
        acceptor = HTTPAcceptor(
            socket.descriptor, for: UInt(bitPattern: daemon), context.room)
        guard acceptor != nil else { return nil }
    }

    /// Ends what is being answered, too.
    deinit {
        acceptor?.stop()
        if let daemon = unsafe daemon { unsafe MHD_stop_daemon(daemon) }
    }

    /// Accepts no more, when the socket is another process's as well. What was accepted is
    /// answered.
    func leave() {
        acceptor?.stop()
        acceptor = nil
        context.isLeft.store(true, ordering: .releasing)
    }

    fileprivate static func respond(
        to request: HTTPRequest, _ upload: Upload, _ connection: OpaquePointer?,
        _ pointer: UnsafeMutableRawPointer
    ) -> MHD_Result {
        let context = unsafe Unmanaged<Context>.fromOpaque(pointer).takeUnretainedValue()
        var answer = context.answer(request)
        upload.sent = answer.sent
        let descriptor = unsafe weir_http_descriptor(connection)
        if !DescriptorPassing.send(answer.sockets, over: descriptor) {
            answer = HTTPResponse(500, "the sockets could not be sent\n")
        }
        var isGzip = false
        var body = answer.body
        if request.acceptsGzip, body.count > 1_024, let small = Self.gzip(body) {
            body = small
            isGzip = true
        }
        let response = unsafe body.withUnsafeBytes {
            unsafe weir_http_response($0.baseAddress, $0.count)
        }
        guard let response = unsafe response else { return .refused }
        unsafe _ = MHD_add_response_header(response, "Content-Type", answer.contentType)
        unsafe _ = MHD_add_response_header(response, "Cache-Control", "no-store")
        if isGzip { unsafe _ = MHD_add_response_header(response, "Content-Encoding", "gzip") }
        if let allow = answer.allow { unsafe _ = MHD_add_response_header(response, "Allow", allow) }
        if context.isLeft.load(ordering: .acquiring) {
            unsafe _ = MHD_add_response_header(response, "Connection", "close")
        }
        let result = unsafe MHD_queue_response(connection, answer.status, response)
        unsafe MHD_destroy_response(response)
        return result
    }

    private static func gzip(_ bytes: [UInt8]) -> [UInt8]? {
        guard let count = UInt32(exactly: bytes.count) else { return nil }
        let small = unsafe [UInt8](unsafeUninitializedCapacity: bytes.count) {
            buffer, written in
            let size = unsafe bytes.withUnsafeBufferPointer {
                unsafe weir_gzip($0.baseAddress, count, buffer.baseAddress, count)
            }
            written = max(0, Int(size))
        }
        return small.isEmpty ? nil : small
    }

    fileprivate static func connectionEnded(_ pointer: UnsafeMutableRawPointer) {
        unsafe Unmanaged<Context>.fromOpaque(pointer).takeUnretainedValue().room.give()
    }

    fileprivate static func peer(_ connection: OpaquePointer?) -> (user: UInt32, process: Int32)? {
        var user: uid_t = 0
        var process: pid_t = 0
        let descriptor = unsafe weir_http_descriptor(connection)
        return unsafe weir_peer(descriptor, &user, &process) == 0 ? (user, process) : nil
    }
}

extension MHD_Result {
    fileprivate static var refused: MHD_Result { .NO }
    static var taken: MHD_Result { .YES }
}

private let handleRequest: MHD_AccessHandlerCallback = {
    context, connection, url, method, _, piece, uploadSize, state in
    guard let context = unsafe context, let url = unsafe url, let method = unsafe method,
        let state = unsafe state
    else { return .refused }
    // Called once for the head, for each piece of a body, and at the end.
    guard let known = unsafe state.pointee else {
        unsafe state.pointee = Unmanaged.passRetained(HTTPPort.Upload()).toOpaque()
        return .taken
    }
    let upload = unsafe Unmanaged<HTTPPort.Upload>.fromOpaque(known).takeUnretainedValue()
    if let uploadSize = unsafe uploadSize, let piece = unsafe piece,
        unsafe uploadSize.pointee > 0
    {
        unsafe upload.append(UnsafeRawBufferPointer(start: piece, count: uploadSize.pointee))
        unsafe uploadSize.pointee = 0
        return .taken
    }
    let encodings = unsafe weir_http_header(connection, "Accept-Encoding")
    let level = unsafe weir_http_argument(connection, "level")
    var request = HTTPRequest(
        method: unsafe String(cString: method), path: unsafe String(cString: url),
        acceptsGzip: unsafe encodings.map { unsafe String(cString: $0).contains("gzip") } ?? false,
        level: unsafe level.map { unsafe String(cString: $0) })
    if let peer = unsafe HTTPPort.peer(connection) {
        request.userID = peer.user
        request.processID = peer.process
    }
    request.body = upload.bytes
    request.isTooLarge = upload.isTooLarge
    return unsafe HTTPPort.respond(to: request, upload, connection, context)
}

private let requestCompleted: MHD_RequestCompletedCallback = { _, _, state, _ in
    guard let state = unsafe state, let upload = unsafe state.pointee else { return }
    unsafe Unmanaged<HTTPPort.Upload>.fromOpaque(upload).takeRetainedValue().sent?.give(true)
    unsafe state.pointee = nil
}

private let connectionChanged: MHD_NotifyConnectionCallback = { context, _, _, change in
    guard let context = unsafe context, weir_http_is_closed(change) != 0 else { return }
    unsafe HTTPPort.connectionEnded(context)
}
