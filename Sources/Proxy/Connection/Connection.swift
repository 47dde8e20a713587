internal import Wire

/// One HTTP/2 connection: a socket and the session that speaks over it. What clients and servers do
/// differently is in the two subclasses.
///
/// With TLS it is `open` while the handshake lasts, too: nothing of the session is written then.
///
///     open -> finishing -> lingering -> doomed
///       |         |                       |
///       +---------+-----------------------+-> torn down, between two turns
///
/// - finishing: nothing new is read into the session; a last GOAWAY is being written.
/// - lingering: FIN was sent; what still comes is read and dropped, so that the kernel does not
///   answer it with a RST that would destroy what the peer has not read yet (`Lingering`).
/// - doomed: the socket failed or both sides have ended.
class Connection {
    enum Fate { case open, ended }
    private enum State { case open, lingering, doomed }

    private static let readsPerTurn = 4

    let tag: PollTag
    /// Whoever is at its other end, or whom a proxy there speaks for.
    private(set) final var peer: SocketAddress
    private(set) final var packedPeer: PackedAddress
    /// Its number among the worker's.
    let serial: UInt32
    private let session: HTTP2Session
    private(set) var tls: TLSSession?
    private var state = State.open
    private var unsent: UnsentBytes?
    @safe @exclusivity(unchecked) private var isDirty = false
    @safe @exclusivity(unchecked) var timer = WorkerTimer.none
    /// When the timer fires; deadlines that move later do not move it.
    private var timerAt: Int64 = 0
    /// When the socket began to refuse bytes; 0 while it takes them.
    private(set) var unsentSince: Int64 = 0
    /// The limit that ended the connection was logged.
    private(set) var isTripLogged = false
    private var hasEnded = false
    private var lingering: Lingering?
    var isConnecting = false
    /// The socket holds more than was read; the next turn reads on.
    var isUnread = false
    /// What comes is looked at (`greet`) before the session has it, and nothing is said yet.
    var isGreeting = false

    init(_ tag: PollTag, _ peer: SocketAddress, _ session: HTTP2Session) {
        self.tag = tag
        self.peer = peer
        packedPeer = PackedAddress(peer)
        serial = session.workspace.use { $0.nextSerial() }
        self.session = session
    }

    /// A proxy at the other end has said whose connection it passes on.
    final func announce(_ client: SocketAddress) {
        peer = client
        packedPeer = PackedAddress(client)
    }

    /// Speaks TLS from here on.
    final func secure(_ tls: TLSSession) { self.tls = tls }

    /// False while a TLS handshake lasts.
    final var isSecured: Bool { tls?.isEstablished ?? true }

    var isDoomed: Bool { state == .doomed }
    var isLingering: Bool { state == .lingering }

    // MARK: What subclasses add

    /// A read was processed: looks at what was noted about the connection as a whole.
    func noted(_ worker: Worker) {}

    /// Takes off what a proxy in front says first. Gives how many bytes are left, which are then at
    /// the buffer's front; nil where the connection is to end for what was said.
    func takeAnnouncement(_ buffer: ReadBuffer, _ count: Int, _ worker: Worker) -> Int? { count }

    /// Looks at a connection's first bytes; false where the session is not to have them.
    func greet(_ bytes: Span<UInt8>, _ worker: Worker) -> Bool { true }

    /// The connection's timer fired.
    func expired(_ worker: Worker) {}

    /// The socket failed or both sides have ended: ends what was on the connection. Called once,
    /// by `end`.
    func ended(_ worker: Worker) {}

    /// Begins to write what there is to say; a subclass may have more to do first.
    func connected(_ worker: Worker) {}

    /// The TLS handshake is complete. The peer's identity, if any, is `tls.peer`.
    func secured(_ worker: Worker) {}

    /// The TLS handshake failed: counts and logs why. The connection ends after that.
    func handshakeFailed(_ failure: TLSFailure, _ worker: Worker) {}

    /// Requests taken from the connection before others have their turn.
    var requestsPerTurn: Int { .max }

    /// Encoded bytes that a full socket may leave waiting.
    var outputBytesMax: Int { Workspace.outputBytes }

    /// Streams that are open.
    var streamCount: Int { 0 }

    // MARK: The turn

    /// Puts the connection on the list of those flushed at the end of the turn.
    @inline(always)
    final func markDirty(_ workspace: Workspace) {
        if isDirty || state != .open { return }
        isDirty = true
        workspace.dirty.append(Borrowed(self))
    }

    func doom() { state = .doomed }

    /// Reads what the socket holds, feeds it to the session and has the events processed.
    ///
    /// Ends after a few reads or many requests: `again` says that the socket holds more.
    func receive(_ worker: Worker, hungUp: Bool, again: inout Bool) -> Fate {
        let workspace = worker.workspace
        var streamsBegan = 0
        let buffer = tls == nil ? workspace.input : workspace.ciphertext
        reads: for _ in 0..<Self.readsPerTurn {
            switch buffer.receive(from: tag.descriptor, workspace.system) {
            case .ended, .failed: return .ended
            case .nothingYet: return .open
            case .bytes(let count):
                if state == .lingering {
                    lingering?.received(now: workspace.now)
                    continue
                }
                worker.gathering.received(count)
                let fate = tls == nil ? feed(worker, count) : open(worker, count)
                switch fate {
                case .open: break
                case .finish: return finish(worker, patience: 0)
                case .ended: return .ended
                }
                streamsBegan += takeStreamsBegan()
                // A short read emptied the socket: the next edge will tell of more. Not so a FIN
                // that came with these bytes: one edge told of both.
                if count < buffer.capacity && !hungUp { return .open }
                if streamsBegan >= requestsPerTurn { break reads }
            }
        }
        again = true
        return .open
    }

    /// What became of bytes that were read: `finish` says what is left to say and ends.
    private enum Fed { case open, finish, ended }

    private func takeStreamsBegan() -> Int {
        defer { session.notes.streamsBegan = 0 }
        return session.notes.streamsBegan
    }

    private func feed(_ worker: Worker, _ count: Int) -> Fed {
        var count = count
        if isGreeting {
            let input = worker.workspace.input
            guard let rest = takeAnnouncement(input, count, worker) else { return .ended }
            if rest == 0 || !input.use(rest, { greet($0, worker) }) { return .open }
            count = rest
        }
        let received = session.receive(worker.workspace.input, count)
        worker.process()
        if state != .open { return .open }
        noted(worker)
        if let limit = session.notes.exceeded {
            session.notes.exceeded = nil
            tripped(limit, worker)
        }
        if let limit = session.notes.tripped, !session.isTerminated {
            tripped(limit, worker)
            let code: HTTP2Code = limit == .settingsAck ? .settingsTimeout : .enhanceYourCalm
            session.terminate(code: code, limit: limit)
        }
        // What nghttp2 found by itself, and before this, is told when its GOAWAY leaves.
        if session.isReading { endIfBroken(worker) } else { session.notes.breach = nil }
        markDirtyIfNeeded(worker.workspace)
        if case .broken(let reason) = received {
            session.notes.breach =
                session.notes.breach
                ?? .init(
                    code: .protocolError, reason: reason)
            endIfBroken(worker)
            return .finish
        }
        return .open
    }

    /// Takes records: goes on with the handshake, then feeds what they hold to the session.
    private func open(_ worker: Worker, _ count: Int) -> Fed {
        guard let tls else { return .ended }
        let workspace = worker.workspace
        if tls.isEstablished {
            tls.lend(workspace.ciphertext, count)
        } else {
            guard let rest = takeAnnouncement(workspace.ciphertext, count, worker) else {
                return .ended
            }
            if rest == 0 { return .open }
            tls.lend(workspace.ciphertext, rest)
            guard shakeHands(tls, worker) else { return .ended }
            guard tls.isEstablished else { return .open }
        }
        while state == .open {
            let opened = tls.open(into: workspace.input)
            // Answers to what only TLS sees: tickets, key updates, alerts.
            guard sendSealed(workspace) else { return .ended }
            switch opened {
            case .ended: return .ended
            case .failed(let failure):
                workspace.log.write(
                    .info, "tls broken peer=\(peer) reason=\"\(failure)\"")
                return .ended
            case .bytes(0): return .open
            case .bytes(let count):
                let fate = feed(worker, count)
                if fate != .open { return fate }
            }
        }
        return .open
    }

    /// Goes on with the handshake; false where it failed.
    final func shakeHands(_ tls: TLSSession, _ worker: Worker) -> Bool {
        let step = tls.handshake()
        // The alert that says why it failed, too.
        guard sendSealed(worker.workspace) else { return false }
        switch step {
        case .waits: return true
        case .established:
            secured(worker)
            markDirty(worker.workspace)
            return true
        case .failed(let failure):
            handshakeFailed(failure, worker)
            return false
        }
    }

    /// Sends the records that were made, or keeps them behind those that wait already.
    private func sendSealed(_ workspace: Workspace) -> Bool {
        let sealed = workspace.sealed
        guard sealed.count > 0 else { return true }
        guard var pending = unsent.take() else {
            defer { sealed.removeAll() }
            return send(sealed, workspace)
        }
        pending.append(sealed)
        let isTooMuch = pending.count > outputBytesMax + sealed.capacity
        unsent = consume pending
        return !isTooMuch
    }

    func markDirtyIfNeeded(_ workspace: Workspace) {
        if isGreeting { return }
        if session.wantsWrite || session.isFinished { markDirty(workspace) }
    }

    /// Counts a limit that ended the connection or one of its streams; the first is logged.
    func tripped(_ limit: Limit, _ worker: Worker) {
        worker.workspace.counters.add(limit)
        if isTripLogged { return }
        isTripLogged = true
        let level: EventLog.Level = limit.isRoutine ? .notice : .warning
        worker.workspace.log.write(level, "limit=\(limit.name) \(describe())")
    }

    /// Ends the session whose peer has broken the protocol; logged where nothing was said yet of
    /// why the connection ends. True if so.
    @discardableResult
    private func endIfBroken(_ worker: Worker) -> Bool {
        guard let breach = session.notes.breach, !session.isTerminated else { return false }
        session.notes.breach = nil
        session.terminate(code: breach.code)
        worker.workspace.counters.add(self is DownstreamConnection ? .clientErrors : .serverErrors)
        if isTripLogged { return true }
        isTripLogged = true
        let words = "connection broken \(describe()) code=\(breach.code.name)"
        worker.workspace.log.write(.notice, "\(words) reason=\"\(breach.reason)\"")
        return true
    }

    /// The proxy at the other end, where it speaks for `peer`.
    var sender: SocketAddress? { nil }

    /// The listener's or the upstream's name.
    var ownerName: String { "" }

    var facts: ConnectionFacts {
        ConnectionFacts(
            serial: serial, isDownstream: self is DownstreamConnection, name: ownerName, peer: peer,
            proxy: sender, streams: streamCount, hasUnsentOutput: unsentSince > 0)
    }

    /// Who this is, for the log.
    func describe() -> String { "peer=\(peer)" }

    /// Writes all that the session has to say, or as much as the socket takes.
    func flush(_ worker: Worker) -> Fate {
        isDirty = false
        if state != .open || isConnecting || unsent != nil || !isSecured { return .open }
        let workspace = worker.workspace
        while true {
            let output = workspace.output
            output.removeAll()
            let encoded = session.encode(into: output, byteLimit: outputBytesMax)
            if output.count > 0 {
                guard write(output, workspace) else { return .ended }
                if unsent != nil { return .open }
            }
            if let limit = session.notes.tripped, !session.isTerminated {
                tripped(limit, worker)
                session.terminate(code: .enhanceYourCalm, limit: limit)
                continue
            }
            if endIfBroken(worker) { continue }
            switch encoded {
            case .failed: return .ended
            case .outputFull: continue
            case .everything:
                guard session.isFinished else { return .open }
                return finish(worker, patience: session.isTerminated ? 0 : lingerPatience)
            }
        }
    }

    /// Sends what the session encoded, sealed where there is TLS.
    @inline(always)
    private final func write(_ output: OutputBuffer, _ workspace: Workspace) -> Bool {
        guard let tls else { return send(output, workspace) }
        guard tls.seal(output) else {
            workspace.sealed.removeAll()
            return false
        }
        return sendSealed(workspace)
    }

    private func send(_ output: OutputBuffer, _ workspace: Workspace) -> Bool {
        switch output.send(to: tag.descriptor, workspace.system) {
        case .failed: return false
        case .bytes(let sent):
            guard sent < output.count else { return true }
            unsent = output.rest(after: sent)
            unsentSince = workspace.now
            schedule(unreadDeadline(workspace.now), workspace)
            return true
        }
    }

    /// How long a peer may take nothing of what it was sent at the end.
    var lingerPatience: Int64 { 0 }

    /// When a socket that takes nothing any more is given up; `Int64.max` is never.
    func unreadDeadline(_ now: Int64) -> Int64 { .max }

    func becameWritable(_ worker: Worker) -> Fate {
        let workspace = worker.workspace
        if isConnecting {
            connected(worker)
            if isConnecting || state == .doomed { return .open }
        }
        if var pending = unsent.take() {
            guard let sent = pending.send(to: tag.descriptor, workspace.system) else {
                return .ended
            }
            if pending.count > 0 {
                if sent > 0 { unsentSince = workspace.now }
                unsent = consume pending
                return .open
            }
            unsentSince = 0
        }
        markDirtyIfNeeded(workspace)
        return .open
    }

    // MARK: The end

    /// Ends what was on the connection, which may linger after that.
    func end(_ worker: Worker) {
        if hasEnded { return }
        hasEnded = true
        ended(worker)
    }

    /// Everything was said: sends FIN and waits for the peer's, for `Lingering`'s reasons.
    ///
    /// - saying: the last bytes to a peer that does not speak HTTP/2; nil is what the session has.
    func finish(_ worker: Worker, patience: Int64, saying words: ByteView? = nil) -> Fate {
        guard state == .open else { return .open }
        if let words {
            _ = say(words, worker.workspace)
        } else {
            _ = flushLast(worker.workspace)
        }
        // What the last frames had callbacks note is about exchanges that are given back below.
        worker.process()
        if unsent != nil { return .ended }
        if let tls {
            tls.sealEnd()
            guard sendSealed(worker.workspace), unsent == nil else { return .ended }
        }
        state = .lingering
        end(worker)
        worker.workspace.system.finish(tag.descriptor)
        timerAt = 0
        lingering = Lingering(now: worker.workspace.now, patience: patience)
        linger(worker)
        return .open
    }

    private func linger(_ worker: Worker) {
        let workspace = worker.workspace
        let left = workspace.system.unacknowledged(tag.descriptor)
        let next = lingering?.looked(
            now: workspace.now, unacknowledged: left, limitAt: worker.drainEndsAt)
        guard let next else { return worker.doom(self) }
        schedule(next, workspace)
    }

    /// What nghttp2 may still have to say when it has refused to read on.
    private func flushLast(_ workspace: Workspace) -> Bool {
        guard unsent == nil, !isConnecting, isSecured else { return false }
        workspace.output.removeAll()
        _ = session.encode(into: workspace.output, byteLimit: Workspace.outputBytes)
        return workspace.output.count == 0 || write(workspace.output, workspace)
    }

    private func say(_ words: ByteView, _ workspace: Workspace) -> Bool {
        if words.isEmpty { return true }
        workspace.output.removeAll()
        workspace.output.append(words)
        return send(workspace.output, workspace)
    }

    // MARK: Time

    /// Makes sure that the timer fires by `deadline`, if not in this turn: one whose deadline stays
    /// behind must not keep the loop.
    func schedule(_ deadline: Int64, _ workspace: Workspace) {
        guard deadline < .max else { return }
        let deadline = max(deadline, workspace.now + 1_000_000)
        if timer.isScheduled {
            guard deadline < timerAt || timerAt == 0 else { return }
            workspace.timers.move(timer, to: deadline)
        } else {
            timer = workspace.timers.schedule(.connection(Borrowed(self)), at: deadline)
        }
        timerAt = deadline
    }

    /// The wheel has dropped the timer.
    func timerFired(_ worker: Worker) {
        timer = .none
        timerAt = 0
        if state == .lingering { return linger(worker) }
        if state == .open { expired(worker) }
    }
}
