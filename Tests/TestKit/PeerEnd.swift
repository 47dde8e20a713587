import Peers

/// How quickly a client or an origin reads and reacts.
struct Pace {
    var reaction: ClosedRange<Int64> = 0...20_000
    var readMax = 65_536
    /// Nil: windows grow by themselves. Otherwise so long after bytes came, their windows do.
    var consumesAfter: ClosedRange<Int64>?
}

/// A session of `Peers` at a simulated socket: the part that clients and origins share.
class PeerEnd: SocketOwner {
    let world: World
    let socket: SimulatedSocket
    let session: PeerSession
    let pace: Pace
    let terms: PeerSession.Terms
    private var tls: PeerTLS?
    /// What it shows, where TLS is spoken.
    private(set) var credential: Mesh.Credential?
    let beganAt: Int64
    private(set) var isOver = false
    private var isScheduled = false
    private var unsent: [UInt8] = []
    /// Bytes that the socket has taken.
    private(set) var writtenBytes = 0
    /// What was read before the last piece, and with it.
    private var piece = 0..<0
    /// Bytes received and not consumed, by stream; looked up, never iterated.
    private var unconsumed: [Int32: Int] = [:]
    /// Streams that are open, with nothing of a window to begin with: granted as they are used.
    private var grantsByHand: Bool { terms.streamWindowBytes == 0 }

    init(
        _ role: PeerSession.Role, _ world: World, _ socket: SimulatedSocket,
        _ terms: PeerSession.Terms, _ pace: Pace
    ) {
        self.world = world
        beganAt = world.now
        self.socket = socket
        self.pace = pace
        var terms = terms
        terms.growsWindowsByItself = pace.consumesAfter == nil
        self.terms = terms
        session = PeerSession(role, terms)
        socket.owner = self
    }

    /// Speaks TLS from the first byte on, and shows that; nil shows nothing.
    func secure(_ role: PeerTLS.Role, showing credential: Mesh.Credential?) {
        guard case .success(let mesh) = Mesh.shared else {
            return world.fail("there are no certificates")
        }
        let lasting = role == .client ? mesh.web[1] : mesh.orders[1]
        let credential = world.showsLastingCertificates ? lasting : credential
        self.credential = credential
        let roots = [Mesh.Root.first, .second].compactMap { mesh.authorities[$0] }
        var terms = PeerTLS.Terms(
            certificate: credential?.certificate, privateKey: credential?.key,
            authorities: Array(roots.joined()))
        terms.serverName = "weir.example"
        terms.asksForCertificate = true
        terms.unixTime = Mesh.begin
        tls = PeerTLS(role, terms)
    }

    /// Between which times what was just read had been sent, if the proxy sent it.
    var sentWithin: (from: Int64, to: Int64) {
        guard let connection = world.sightings.connections[socket.connection], !piece.isEmpty else {
            return (world.now, world.now)
        }
        let first = connection.time(ofByte: piece.lowerBound)
        return (first, connection.time(ofByte: piece.upperBound - 1))
    }

    /// Goes before everything else, TLS too.
    func sayFirst(_ bytes: [UInt8]) { unsent = bytes }

    // MARK: For clients and origins

    func received(_ event: PeerEvent) {}

    /// The connection ended; `byFailure` is false for a FIN.
    func connectionEnded(byFailure: Bool) {}

    /// The socket has taken all that there was to say.
    func allWritten() {}

    /// Whatever it wants to say in this turn.
    func act() {}

    // MARK: Turns

    func socketChanged(_: SimulatedSocket) { wakeSoon() }

    func wakeSoon() {
        guard !isScheduled, !isOver else { return }
        isScheduled = true
        world.after(world.chance.within(pace.reaction)) { [self] in
            isScheduled = false
            if !isOver { turn() }
        }
    }

    private func turn() {
        if socket.state == .connecting { return }
        readSome()
        guard !isOver else { return }
        act()
        writeSome()
        if !isOver, session.isFinished, unsent.isEmpty { close() }
    }

    private func readSome() {
        switch socket.read(limit: world.chance.within(1...pace.readMax)) {
        case .nothingYet: break
        case .ended: over(byFailure: false)
        case .failed: over(byFailure: true)
        case .bytes(let bytes):
            piece = piece.upperBound..<piece.upperBound + bytes.count
            guard let bytes = opened(bytes) else { return }
            do throws(PeerFailure) {
                try session.receive(bytes)
            } catch {
                world.fail("connection \(socket.connection): not HTTP/2: \(error)")
            }
            handleEvents()
            if socket.isReadable { wakeSoon() }
        }
    }

    /// What records hold; nil where TLS failed.
    private func opened(_ bytes: [UInt8]) -> [UInt8]? {
        guard let tls else { return bytes }
        if let plain = tls.open(bytes) { return plain }
        world.trace.note(world.now, "tls failure", socket.connection)
        world.noteRefusal(of: credential, connection: socket.connection, since: beganAt)
        over(byFailure: true)
        return nil
    }

    /// The next bytes for the socket.
    private func nextOutput() -> [UInt8] {
        guard let tls else { return session.takeOutput(limit: 65_536) }
        if tls.isEstablished {
            tls.seal(session.takeOutput(limit: 65_536))
        } else {
            _ = tls.shakeHands()
        }
        return tls.takeOutput()
    }

    private func handleEvents() {
        for event in session.takeEvents() {
            switch event {
            // A stream that crossed a lowered limit on its way: refused, which is nobody's fault.
            case .invalid(_, PeerFailure.refusedStream): break
            case .invalid(let stream, let error):
                world.fail(
                    "connection \(socket.connection): invalid frame, stream \(stream): \(error)")
            case .data(let stream, let bytes): consumeLater(stream, bytes.count)
            default: break
            }
            received(event)
        }
    }

    /// One WINDOW_UPDATE for all that came within the delay: more would be a flood.
    private func consumeLater(_ stream: Int32, _ count: Int) {
        guard let delay = pace.consumesAfter else { return }
        let isUnderWay = unconsumed[stream] != nil
        unconsumed[stream, default: 0] += count
        if isUnderWay { return }
        world.after(world.chance.within(delay)) { [self] in
            let count = unconsumed.removeValue(forKey: stream) ?? 0
            guard !isOver else { return }
            session.consume(grantsByHand ? 0 : stream, count)
            if grantsByHand { session.grantWindow(stream, Int32(clamping: count)) }
            wakeSoon()
        }
    }

    /// Gives a first window to a stream where the announced one is 0.
    func grantFirstWindow(_ stream: Int32) {
        guard grantsByHand else { return }
        world.after(world.chance.within(0...5_000_000)) { [self] in
            guard !isOver else { return }
            session.grantWindow(stream, Int32(world.chance.within(1...20_000)))
            wakeSoon()
        }
    }

    private func writeSome() {
        while true {
            if unsent.isEmpty { unsent = nextOutput() }
            // What nghttp2 itself did while framing.
            handleEvents()
            guard !unsent.isEmpty else { return allWritten() }
            guard let count = socket.write(unsent) else { return over(byFailure: true) }
            unsent.removeFirst(count)
            writtenBytes += count
            if !unsent.isEmpty { return }
        }
    }

    // MARK: Ends

    /// FIN, and what was not read is not wanted.
    func close() {
        guard !isOver else { return }
        isOver = true
        socket.close()
        connectionEnded(byFailure: false)
    }

    private func over(byFailure: Bool) {
        guard !isOver else { return }
        isOver = true
        socket.close()
        connectionEnded(byFailure: byFailure)
    }
}
