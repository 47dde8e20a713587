internal import Synchronization

/// The echo service on a real port of 127.0.0.1: a thread for each connection.
public final class EchoServer: Sendable {
    public let name: String
    public let port: UInt16
    private let listener: BlockingPeerSocket
    private let state = Mutex(State())

    private struct State {
        var isStopped = false
        var sockets: [BlockingPeerSocket] = []
        var accepted = 0
        var calls = 0
        var troubles = 0
        var refusals = 0
        var tls: PeerTLS.Terms?
        var client: [UInt8]?
    }

    /// Port 0 lets the kernel choose; nil where the port is not to be had.
    public init?(name: String, port: UInt16 = 0) {
        guard let listener = BlockingPeerSocket.listen(port: port) else { return nil }
        self.name = name
        self.listener = listener
        self.port = listener.port
    }

    public var acceptedConnections: Int { state.withLock { $0.accepted } }

    /// Requests that arrived so far.
    public var calls: Int { state.withLock { $0.calls } }

    /// The next calls end with UNAVAILABLE, so many of them.
    public func fail(next count: Int) { state.withLock { $0.troubles = count } }

    /// Calls that ended so.
    public var refusals: Int { state.withLock { $0.refusals } }

    private func takeTrouble() -> Bool {
        state.withLock { state in
            guard state.troubles > 0 else { return false }
            state.troubles -= 1
            state.refusals += 1
            return true
        }
    }

    /// With these terms connections are in TLS, those that are accepted from now on.
    public func speakTLS(_ terms: PeerTLS.Terms) { state.withLock { $0.tls = terms } }

    /// DER of the certificate that the newest client has proven to hold.
    public var clientCertificate: [UInt8]? { state.withLock(\.client) }

    /// Begins to accept; once.
    public func start() { startThread { self.acceptAll() } }

    /// Accepts no more and ends every connection.
    public func stop() {
        state.withLock { $0.isStopped = true }
        listener.shutDown()
        closeAll()
    }

    /// Ends every connection by RST or FIN, as the kernel sees fit; new ones are welcome.
    public func closeAll() {
        state.withLock { for socket in $0.sockets { socket.shutDown() } }
    }

    private func acceptAll() {
        while let socket = listener.accept() {
            let isWelcome = state.withLock {
                if $0.isStopped { return false }
                $0.sockets.append(socket)
                $0.accepted += 1
                return true
            }
            guard isWelcome else {
                socket.close()
                break
            }
            startThread { self.serve(socket) }
        }
        listener.close()
    }

    private func serve(_ socket: BlockingPeerSocket) {
        let origin = EchoOrigin(name: name)
        origin.isTroubled = { self.takeTrouble() }
        defer {
            state.withLock { $0.sockets.removeAll { $0.descriptor == socket.descriptor } }
            socket.close()
        }
        guard let link = PeerLink(socket, .server, state.withLock(\.tls)) else { return }
        if let client = link.peerCertificate { state.withLock { $0.client = client } }
        var served = 0
        while true {
            guard link.write(origin.session.takeOutput()), !origin.session.isFinished else {
                return
            }
            var milliseconds: Int32 = -1
            if let deadline = origin.nextDeadline {
                let left = max(0, deadline - BlockingPeerSocket.now())
                milliseconds = Int32(clamping: left / 1_000_000 + 1)
            }
            switch link.read(waiting: milliseconds) {
            case .ended: return
            case .nothingYet: break
            case .bytes(let bytes):
                guard (try? origin.receive(bytes, now: BlockingPeerSocket.now())) != nil else {
                    return
                }
            }
            origin.advance(now: BlockingPeerSocket.now())
            let news = origin.requestCount - served
            served += news
            if news > 0 { state.withLock { $0.calls += news } }
        }
    }
}

/// Makes calls to 127.0.0.1 over one connection, one after another. Belongs to one thread.
public final class EchoCaller {
    /// A call that hears nothing for so long is over, and its connection with it.
    private static let patienceMilliseconds: Int32 = 10_000

    private let socket: BlockingPeerSocket
    private let link: PeerLink
    private let client: CallClient
    public private(set) var isOver = false

    /// Nil where nobody listens on the port, or a handshake fails that terms for TLS ask for.
    public init?(port: UInt16, authority: String, tls: PeerTLS.Terms? = nil) {
        guard let socket = BlockingPeerSocket.connect(port: port) else { return nil }
        guard let link = PeerLink(socket, .client, tls) else {
            socket.close()
            return nil
        }
        self.socket = socket
        self.link = link
        client = CallClient(authority: authority, scheme: tls == nil ? "http" : "https")
    }

    /// DER of the certificate that the server has proven to hold.
    public var serverCertificate: [UInt8]? { link.peerCertificate }

    deinit { socket.close() }

    /// False where the server asked for no more calls on this connection, or it ended.
    public var takesCalls: Bool { !isOver && !client.isGoingAway }

    /// Makes a call with all of its requests, and waits for its end.
    public func call(
        _ method: CallClient.Method, _ requests: [EchoRequest], metadata: [HeaderField] = []
    ) -> CallRecord {
        let stream = begin(method, metadata: metadata)
        for request in requests { client.send(stream, request) }
        client.finish(stream)
        return end(of: stream)
    }

    /// Makes any request and waits for its end.
    public func request(
        _ method: String, _ path: String, fields: [HeaderField] = [], body: [UInt8] = []
    ) -> CallRecord {
        let stream = client.begin(
            method: method, path: path, fields: fields, hasBody: !body.isEmpty)
        client.session.send(stream, body)
        client.finish(stream)
        return end(of: stream)
    }

    /// Begins a call whose requests follow by `send`.
    public func begin(_ method: CallClient.Method, metadata: [HeaderField] = []) -> Int32 {
        client.begin(method, metadata: metadata)
    }

    /// Sends one request and waits until so many answers have come, or the end.
    public func send(_ stream: Int32, _ request: EchoRequest, awaiting answers: Int) -> CallRecord {
        client.send(stream, request)
        return wait(for: stream) { $0.end != nil || ($0.echoes?.count ?? 0) >= answers }
    }

    public func finish(_ stream: Int32) -> CallRecord {
        client.finish(stream)
        return end(of: stream)
    }

    /// Waits for the server to ask for no more calls; false where it does not.
    public func waitForGoAway() -> Bool {
        while takesCalls { step() }
        return client.isGoingAway
    }

    private func end(of stream: Int32) -> CallRecord {
        let record = wait(for: stream) { $0.end != nil }
        _ = client.takeEnded(stream)
        return record
    }

    private func wait(for stream: Int32, until isDone: (CallRecord) -> Bool) -> CallRecord {
        while let record = client.record(stream) {
            if isDone(record) { return record }
            step()
        }
        var refused = CallRecord()
        refused.end = .lost("the call could not be begun")
        return refused
    }

    private func step() {
        guard !isOver, link.write(client.session.takeOutput()) else {
            return over("the connection is closed")
        }
        switch link.read(waiting: Self.patienceMilliseconds) {
        case .nothingYet: over("nothing came for \(Self.patienceMilliseconds / 1_000) s")
        case .ended: over("the server closed the connection")
        case .bytes(let bytes):
            do throws(PeerFailure) {
                try client.receive(bytes)
            } catch {
                over(error.description)
            }
        }
    }

    private func over(_ reason: String) {
        isOver = true
        client.connectionEnded(reason)
    }
}
