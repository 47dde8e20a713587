import Peers
import Wire

/// What one client does: its calls, how it connects and how it reads.
struct ClientPlan {
    var terms = PeerSession.Terms()
    var pace = Pace()
    /// One for each connection; the last serves for all further ones.
    var links: [Link] = [Link()]
    var calls: [CallPlan] = []
    /// What it shows where TLS is spoken; nil is no certificate.
    var credential: Mesh.Credential?
}

/// A client: one connection at a time, another where the last one ended or is going away.
final class SimulatedClient {
    let world: World
    let plan: ClientPlan
    let address: SocketAddress
    let source: SocketAddress
    private(set) var connections: [ClientConnection] = []
    /// Times in a row that there was nobody to connect to.
    private var refusals = 0
    private var isClosing = false

    init(_ world: World, _ plan: ClientPlan, dials address: SocketAddress, from: SocketAddress) {
        self.world = world
        self.plan = plan
        self.address = address
        source = from
    }

    func start(_ calls: [Call]) {
        for call in calls {
            world.after(call.plan.startsAfter) { [self] in begin(call) }
        }
    }

    private func begin(_ call: Call) {
        guard !isClosing, refusals < 3 else { return call.end(.notStarted, at: world.now) }
        if let last = connections.last, last.takesCalls { return last.begin(call) }
        let link = plan.links[min(connections.count, plan.links.count - 1)]
        let header = world.proxyProtocol.map { BalancerHeader.bytes($0, for: source) }
        let sender = header == nil ? source : BalancerHeader.sender
        let socket = world.dial(address, from: sender, link)
        let connection = ClientConnection(.client, world, socket, plan.terms, plan.pace)
        if let header { connection.sayFirst(header) }
        if world.clientsSpeakTLS { connection.secure(.client, showing: plan.credential) }
        connections.append(connection)
        connection.onEnd = { [self] waiting, wasConnected in
            if !wasConnected { refusals += 1 }
            for call in waiting { begin(call) }
        }
        connection.begin(call)
    }

    /// Ends everything; a connection that hears nothing any more is simply dropped.
    func close() {
        isClosing = true
        for connection in connections {
            let mayStall = connection.socket.wasCut || connection.socket.link.stall != nil
            if mayStall { connection.socket.cutConnection(byReset: true) }
            connection.close()
        }
    }
}

/// One connection of a client, and its calls.
final class ClientConnection: PeerEnd {
    /// Called once, with the calls that were never begun.
    var onEnd: (_ waiting: [Call], _ wasConnected: Bool) -> Void = { _, _ in }
    private var waiting: [Call] = []
    private var calls: [Int32: Call] = [:]
    private var order: [Int32] = []
    private var goAwayLast: Int32?
    private var wasConnected = false

    var takesCalls: Bool { !isOver && goAwayLast == nil && socket.state != .failed }

    func begin(_ call: Call) {
        waiting.append(call)
        wakeSoon()
    }

    override func act() {
        wasConnected = true
        guard goAwayLast == nil else {
            let moved = waiting
            waiting = []
            if !moved.isEmpty { onEnd(moved, true) }
            return
        }
        for call in waiting { submit(call) }
        waiting = []
    }

    private func submit(_ call: Call) {
        let plan = call.plan
        let isLast = plan.request.isEmpty && plan.trailers.isEmpty
        let stream = session.request(fields(of: call), isLast: isLast)
        guard stream > 0 else { return call.end(.notStarted, at: world.now) }
        world.trace.note(world.now, "call", call.id, socket.connection, Int(stream))
        call.client = self
        call.stream = stream
        call.sentAt = world.now
        call.isSlow = pace.consumesAfter != nil || pace.readMax < 65_536
        calls[stream] = call
        order.append(stream)
        if !isLast { sendMore(call, from: 0) }
        if case .after(let delay) = plan.cancel {
            world.after(delay) { [self] in cancel(call) }
        }
    }

    private func fields(of call: Call) -> [HeaderField] {
        let plan = call.plan
        var fields = [
            HeaderField(":method", plan.method),
            HeaderField(":scheme", world.clientsSpeakTLS ? "https" : "http"),
            HeaderField(":path", plan.path), HeaderField(":authority", "echo.test"),
        ]
        if plan.isGRPC {
            fields.append(HeaderField("te", "trailers"))
            if let timeout = plan.timeout {
                fields.append(HeaderField("grpc-timeout", timeout.text))
            }
            fields.append(HeaderField("content-type", "application/grpc"))
        }
        fields.append(HeaderField("x-call", String(call.id)))
        return fields + plan.fields
    }

    private func sendMore(_ call: Call, from start: Int) {
        guard !isOver, call.outcome == nil else { return }
        let plan = call.plan
        let end = min(plan.request.count, start + plan.sending.portion)
        call.givenBytes = end
        session.send(call.stream, Array(plan.request[start..<end]))
        if case .afterRequestBytes(let bytes) = plan.cancel, end >= bytes { return cancel(call) }
        wakeSoon()
        if end == plan.request.count {
            return session.finish(call.stream, trailers: plan.trailers)
        }
        world.after(world.chance.within(plan.sending.rest)) { [self] in
            sendMore(call, from: end)
        }
    }

    private func cancel(_ call: Call) {
        guard !isOver, call.outcome == nil else { return }
        end(call, .cancelled)
        session.reset(call.stream, ErrorCode.cancel)
        wakeSoon()
    }

    private func end(_ call: Call, _ outcome: Call.Outcome) {
        guard call.outcome == nil else { return }
        world.trace.note(world.now, "outcome", call.id, Int(call.stream))
        call.wasCut = socket.wasCut || socket.link.stall != nil
        call.unsentBytes = session.unsentBytes(call.stream)
        call.end(outcome, at: world.now)
    }

    // MARK: What came back

    override func received(_ event: PeerEvent) {
        switch event {
        case .headers(let stream, let kind, let fields):
            guard let call = calls[stream] else { return }
            headersReceived(call, kind, fields)
        case .data(let stream, let bytes):
            guard let call = calls[stream], call.outcome == nil else { return }
            call.responseBytes.append(contentsOf: bytes)
            if case .afterResponseBytes(let limit) = call.plan.cancel,
                call.responseBytes.count >= limit
            {
                cancel(call)
            }
        case .end(let stream):
            if let call = calls[stream] { end(call, .complete) }
        case .reset(let stream, let code):
            if let call = calls[stream] { end(call, .reset(code)) }
        case .closed(let stream, let code): streamClosed(stream, code)
        case .goAway(let last, let code, let debug):
            world.trace.note(world.now, "goaway", socket.connection, Int(last), Int(code))
            goAwayLast = last
            // A side that falls silent may be given up.
            if code != ErrorCode.noError, socket.link.stall == nil {
                let text = String(decoding: debug, as: UTF8.self)
                world.fail("connection \(socket.connection): GOAWAY \(code) \(text)")
            }
        case .protested(let stream, let code):
            world.fail("the client's nghttp2 resets stream \(stream) with \(code)")
        default: break
        }
    }

    private func headersReceived(_ call: Call, _ kind: HeadersKind, _ fields: [HeaderField]) {
        guard call.outcome == nil else { return }
        switch kind {
        case .interim: call.interims += 1
        case .trailers: call.responseTrailers = fields
        default:
            if call.responseFields != nil { world.fail("call \(call.id): a second response") }
            call.responseFields = fields
            // Not before: a stream that waits to be opened has no window yet.
            grantFirstWindow(call.stream)
            if call.plan.cancel == .onResponseHeaders { cancel(call) }
        }
    }

    private func streamClosed(_ stream: Int32, _ code: UInt32) {
        guard let call = calls.removeValue(forKey: stream) else { return }
        // Closed without END_STREAM or RST_STREAM: above GOAWAY's last ID, or never sent after it.
        end(call, goAwayLast == nil ? .reset(code) : .unprocessed)
    }

    override func connectionEnded(byFailure: Bool) {
        for stream in order {
            guard let call = calls.removeValue(forKey: stream) else { continue }
            // One that waited behind others when GOAWAY came never left (RFC 9113, 6.8).
            let isDisowned = goAwayLast.map { stream > $0 } ?? false
            end(call, isDisowned ? .unprocessed : .connectionLost)
        }
        let moved = waiting
        waiting = []
        onEnd(moved, wasConnected)
    }
}
