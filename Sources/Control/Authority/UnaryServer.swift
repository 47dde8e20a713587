internal import Peers
internal import Proxy
internal import Synchronization
public import Wire

/// gRPC's unary calls on a unix socket: a thread for each connection, for programs that are asked
/// seldom and by few.
public final class UnaryServer: Sendable {
    public struct Call: Sendable {
        /// `/package.Service/Method`.
        public let path: String
        public let message: [UInt8]
        /// The user who asks.
        public let user: UInt32
    }

    public enum Answer: Sendable {
        case message([UInt8])
        /// A gRPC status other than 0, and words.
        case failure(GRPCStatus, String)
    }

    /// Who this process runs as.
    public static var ownUser: UInt32 { Processors.userID }

    public static let connectionsMax = 64
    public static let messageBytesMax = 64 << 10
    /// A connection without a whole call for so long is closed.
    private static let patienceMilliseconds: Int32 = 10_000
    private static let callsMax: UInt32 = 4

    private let listener: ListeningSocket
    private let answer: @Sendable (Call) -> Answer
    private let connections = Mutex(0)

    /// - isForAll: whether every user may connect; otherwise the own one alone. `answer` is told
    ///   who asks.
    public init(
        path: String, isForAll: Bool, answer: @escaping @Sendable (Call) -> Answer
    ) throws(ListenError) {
        listener = try Sockets.listen(
            on: .unix(path: path), mode: isForAll ? 0o666 : 0o600)
        self.answer = answer
    }

    /// Serves for ever. `tick` is called about so often.
    public func run(everySeconds seconds: Int32, tick: () -> Void) -> Never {
        while true {
            tick()
            let next = Waiting.now() + Int64(seconds) * 1_000_000_000
            while case let left = next - Waiting.now(), left > 0 {
                let milliseconds = Int32(clamping: left / 1_000_000 + 1)
                let stream = UnixStream.accept(
                    on: listener.descriptor, waiting: milliseconds)
                if let stream { welcome(stream) }
            }
        }
    }

    private func welcome(_ stream: UnixStream) {
        let isWelcome = connections.withLock { count in
            if count >= Self.connectionsMax { return false }
            count += 1
            return true
        }
        guard isWelcome, let user = stream.user else { return stream.close() }
        let isStarted = Thread.start {
            self.serve(stream, user)
            stream.close()
            self.connections.withLock { $0 -= 1 }
        }
        if !isStarted {
            stream.close()
            connections.withLock { $0 -= 1 }
        }
    }

    private func serve(_ stream: UnixStream, _ user: UInt32) {
        var terms = PeerSession.Terms()
        terms.concurrentStreams = Self.callsMax
        let session = PeerSession(.server, terms)
        var open: [Int32: OpenCall] = [:]
        while stream.write(session.takeOutput()), !session.isFinished {
            switch stream.read(waiting: Self.patienceMilliseconds) {
            case .ended, .nothingYet: return
            case .bytes(let bytes):
                guard (try? session.receive(bytes)) != nil else { return }
            }
            for event in session.takeEvents() { handle(event, session, user, &open) }
        }
    }

    private struct OpenCall {
        let path: String
        var body: [UInt8] = []
    }

    private func handle(
        _ event: PeerEvent, _ session: PeerSession, _ user: UInt32, _ open: inout [Int32: OpenCall]
    ) {
        switch event {
        case .headers(let stream, .request, let fields):
            guard fields.first(":method") == "POST", let path = fields.first(":path"),
                fields.first("content-type")?.hasPrefix("application/grpc") == true
            else { return session.respond(stream, [HeaderField(":status", "415")], isLast: true) }
            open[stream] = OpenCall(path: path)
        case .data(let stream, let bytes):
            open[stream]?.body += bytes
            if let call = open[stream], call.body.count > Self.messageBytesMax + 5 {
                open[stream] = nil
                refuse(
                    stream, .resourceExhausted, "the message is too long", session,
                    thenReset: true)
            }
        case .end(let stream):
            guard var call = open.removeValue(forKey: stream) else { return }
            let messages = MessageFraming.takeMessages(&call.body)
            guard let message = messages.first, messages.count == 1, call.body.isEmpty else {
                return refuse(stream, .internalError, "not one message", session)
            }
            switch answer(Call(path: call.path, message: message, user: user)) {
            case .message(let bytes): respond(stream, bytes, session)
            case .failure(let code, let words): refuse(stream, code, words, session)
            }
        case .closed(let stream, _): open[stream] = nil
        default: break
        }
    }

    private static let responseFields = [
        HeaderField(":status", "200"), HeaderField("content-type", "application/grpc"),
    ]

    private func respond(_ stream: Int32, _ message: [UInt8], _ session: PeerSession) {
        session.respond(stream, Self.responseFields, isLast: false)
        session.send(stream, MessageFraming.frame(message))
        session.finish(stream, trailers: [HeaderField("grpc-status", "0")])
    }

    /// - thenReset: the rest of the request is not wanted.
    private func refuse(
        _ stream: Int32, _ code: GRPCStatus, _ words: String, _ session: PeerSession,
        thenReset: Bool = false
    ) {
        var message: [UInt8] = []
        PercentCoding.encode(Array(words.utf8).span, into: &message)
        session.respond(stream, Self.responseFields, isLast: false)
        session.finish(
            stream,
            trailers: [
                HeaderField("grpc-status", String(code.rawValue)),
                HeaderField("grpc-message", String(decoding: message, as: UTF8.self)),
            ], thenReset: thenReset ? ErrorCode.noError : nil)
    }
}
