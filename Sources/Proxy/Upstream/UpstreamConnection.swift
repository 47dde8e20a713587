internal import Configuration
internal import Rules
internal import Wire

/// A server's connection: owns the client session and the attempts that run over it.
///
///     connecting -> securing -> greeting -> ready -> retired
///
/// - securing: connected; the TLS handshake lasts. Without TLS there is none.
/// - greeting: HTTP/2 has begun; the server's SETTINGS have not come, so that its limits are not
///   known and it may not speak HTTP/2 at all. Requests are sent only to servers that are ready.
/// - retired: a GOAWAY came, or the endpoint left the configuration: no new attempts.
final class UpstreamConnection: Connection {
    enum Readiness { case connecting, securing, greeting, ready, retired }

    let session: ClientSession
    let limits: UpstreamLimits
    private let timeouts: UpstreamTimeouts
    let endpoint: Borrowed<Endpoint>
    let pool: Borrowed<UpstreamPool>
    private(set) var readiness = Readiness.connecting
    // Once a request, see Exchange.
    @safe @exclusivity(unchecked) private(set) var attempts: [Borrowed<Attempt>] = []
    @safe @exclusivity(unchecked) private var cancelled = CancelledStreams()
    private var openedAt: Int64
    private var readAt: Int64
    private var idleSince: Int64
    private var pingSentAt: Int64 = 0
    /// Had an attempt, or did not leave at once: proof that its server can be worked with.
    private var isProven = false
    /// Why it ended, for those whose attempts it took along.
    private(set) var endReason: StaticString = "the connection to the server was lost"

    init(_ tag: PollTag, _ endpoint: Endpoint, _ pool: UpstreamPool, _ workspace: Workspace) {
        limits = pool.terms.limits
        timeouts = pool.terms.timeouts
        self.endpoint = Borrowed(endpoint)
        self.pool = Borrowed(pool)
        session = ClientSession(workspace, pool.terms.limits)
        openedAt = workspace.now
        readAt = workspace.now
        idleSince = workspace.now
        super.init(tag, endpoint.address, session)
        isConnecting = true
        schedule(nextDeadline, workspace)
    }

    override var streamCount: Int { attempts.count }

    override var ownerName: String { pool.use { $0.name } }
    override func describe() -> String {
        "upstream=\(pool.use { $0.name }) endpoint=\(peer)"
    }

    /// True where another request may be sent now.
    var hasRoom: Bool {
        readiness == .ready && attempts.count + cancelled.count < session.streamsMax
            && session.allowsRequests && !isDoomed && !isLingering
    }

    /// Not one that a GOAWAY has closed to requests: what that took along is placed again before it
    /// is noted.
    var isReadyAndUnused: Bool {
        readiness == .ready && attempts.isEmpty && session.allowsRequests && !isDoomed
    }

    /// True where it takes requests, if not now.
    var isServing: Bool {
        readiness == .ready && session.allowsRequests && !isDoomed && !isLingering
    }

    var isAwaited: Bool {
        isBeforeReady && !isDoomed && !isLingering
    }

    private var isBeforeReady: Bool {
        readiness == .connecting || readiness == .securing || readiness == .greeting
    }

    /// How long its server may leave bytes untaken; 0 is for ever.
    var stalledWriter: Int64 { timeouts.stalledWriter }

    // MARK: Attempts

    func attach(_ attempt: Attempt, _ streamID: Int32, _ workspace: Workspace) {
        attempt.upstream.attach(self, streamID, place: attempts.count)
        attempts.append(Borrowed(attempt))
        guard attempts.count == 1 else { return }
        if !isProven { prove() }
        if timeouts.keepalive > 0 {
            schedule(Self.after(readAt, timeouts.keepalive), workspace)
        }
    }

    /// Takes an attempt off the list; the last one moves to its place.
    func detach(_ attempt: Attempt, _ workspace: Workspace) {
        let place = attempt.upstream.place
        guard let last = attempts.popLast() else { return }
        if place < attempts.count {
            attempts[place] = last
            last.use { $0.upstream.place = place }
        }
        attempt.upstream.detach()
        guard attempts.isEmpty else { return }
        idleSince = workspace.now
        if !isDoomed, !isLingering {
            schedule(Self.after(idleSince, timeouts.idle), workspace)
        }
    }

    /// Resets an attempt's stream. Until the server is known to have seen that, it counts against
    /// the streams that the server allows (CVE-2023-44487: clients that cancel must not make Weir
    /// open more at the server than it agreed to).
    func cancel(_ streamID: Int32, _ workspace: Workspace) {
        session.reset(streamID, code: .cancel)
        if cancelled.add(now: workspace.now) { session.submitPing() }
        schedule(workspace.now + CancelledStreams.forgetNanoseconds, workspace)
        markDirty(workspace)
    }

    // MARK: What was noted

    override func connected(_ worker: Worker) {
        let failure = worker.workspace.system.connectionError(tag.descriptor)
        guard failure == 0 else {
            return fail("the connection could not be made (errno \(failure))", worker)
        }
        isConnecting = false
        openedAt = worker.workspace.now
        if let client = pool.use({ $0.tls }) { return beginHandshake(client, worker) }
        if sufficesForCheck(worker) { return }
        readiness = .greeting
        markDirty(worker.workspace)
        schedule(nextDeadline, worker.workspace)
    }

    private func beginHandshake(_ client: ClientTLS, _ worker: Worker) {
        let earlier = endpoint.use { $0.takeResumption() }
        guard let tls = client.makeSession(worker.workspace, resuming: earlier) else {
            return fail("no memory for TLS", worker)
        }
        readiness = .securing
        secure(tls)
        schedule(nextDeadline, worker.workspace)
        // Where it fails at once it has said why.
        if !shakeHands(tls, worker) { worker.doom(self) }
    }

    /// True where it was made to see whether it can be, and is needed no more.
    private func sufficesForCheck(_ worker: Worker) -> Bool {
        let isDone = pool.use { $0.check?.use { $0.connected(worker) } } ?? false
        if isDone { retire(worker) }
        return isDone
    }

    override func secured(_ worker: Worker) {
        if sufficesForCheck(worker) { return }
        readiness = .greeting
        openedAt = worker.workspace.now
        worker.workspace.counters.add(.upstreamHandshakes)
        if tls?.isResumed == true { worker.workspace.counters.add(.upstreamHandshakesResumed) }
        schedule(nextDeadline, worker.workspace)
    }

    override func handshakeFailed(_ failure: TLSFailure, _ worker: Worker) {
        worker.workspace.counters.add(.upstreamHandshakeFailures)
        fail("TLS: \(failure)", worker)
    }

    override func noted(_ worker: Worker) {
        let workspace = worker.workspace
        readAt = workspace.now
        if session.notes.pingAcked {
            session.notes.pingAcked = false
            pingSentAt = 0
            cancelled.pingAcked()
        }
        if session.notes.streamsBegan > 0 { cancelled.serverSpoke() }
        if session.headerBlockSince > 0 { schedule(nextDeadline, workspace) }
        if let resumption = tls?.takeResumption() { endpoint.use { $0.keep(resumption) } }
        if session.notes.settingsReceived, readiness == .greeting {
            readiness = .ready
            openedAt = workspace.now
            schedule(nextDeadline, workspace)
        }
        if let goAway = session.notes.goAway {
            session.notes.goAway = nil
            goAwayReceived(goAway, worker)
        }
        pool.use { $0.serveWaiting(worker) }
    }

    private func prove() {
        isProven = true
        endpoint.use { $0.connectionSucceeded() }
    }

    /// How long a server that has nothing to do stays for its leaving to be no failure.
    private static let leavesAtOnceNanoseconds: Int64 = 1_000_000_000

    /// The server ends a connection that is ready. One that does so with each as soon as it is made
    /// would be connected to as fast as the network goes, for as long as somebody waits.
    private func serverLeaves(_ worker: Worker) {
        guard readiness == .ready, !isProven else { return }
        let now = worker.workspace.now
        guard now < openedAt + Self.leavesAtOnceNanoseconds else { return prove() }
        isProven = true
        let failures = endpoint.use { $0.serverLeft(worker.workspace) }
        guard failures == 2 else { return }
        worker.workspace.log.write(
            .warning, "connect failed \(describe()) reason=\"the server leaves at once\"")
    }

    /// nghttp2 has closed the streams above the last ID as refused; the others go on.
    private func goAwayReceived(_ goAway: HTTP2Session.GoAway, _ worker: Worker) {
        serverLeaves(worker)
        retire(worker)
        guard goAway.code != HTTP2Code.noError.rawValue else { return }
        let code = HTTP2Code(received: goAway.code)
        worker.workspace.log.write(.warning, "goaway code=\(code.name) side=server \(describe())")
    }

    /// No new attempts; ends when the last one does.
    func retire(_ worker: Worker) {
        if isBeforeReady {
            readiness = .retired
            return worker.doom(self)
        }
        readiness = .retired
        endIfUnused(worker)
    }

    func endIfUnused(_ worker: Worker) {
        guard readiness == .retired, attempts.isEmpty, !isDoomed, !isLingering else { return }
        session.terminate(code: .noError)
        markDirty(worker.workspace)
    }

    private func fail(_ reason: String, _ worker: Worker) {
        let failures = endpoint.use { $0.connectionFailed(worker.workspace) }
        pool.use { pool in endpoint.use { pool.connectFailed(to: $0, reason, worker) } }
        worker.workspace.counters.add(.upstreamConnectFailures)
        pool.use { $0.endpointFailed(worker) }
        if failures <= 1 {
            worker.workspace.log.write(
                .warning, "connect failed \(describe()) reason=\"\(reason)\"")
        }
        readiness = .retired
        worker.doom(self)
    }

    // MARK: Time

    override func unreadDeadline(_ now: Int64) -> Int64 { Self.after(now, timeouts.unreadOutput) }

    private static func after(_ start: Int64, _ timeout: Int64) -> Int64 {
        timeout > 0 ? start &+ timeout : .max
    }

    private var nextDeadline: Int64 {
        switch readiness {
        case .connecting: return Self.after(openedAt, timeouts.connect)
        case .securing: return Self.after(openedAt, timeouts.handshake)
        case .greeting: return Self.after(openedAt, timeouts.settings)
        case .ready, .retired: break
        }
        var next = idleDeadline
        if pingSentAt > 0 {
            next = min(next, Self.after(pingSentAt, timeouts.keepaliveAck))
        } else if !attempts.isEmpty, readiness == .ready {
            next = min(next, Self.after(readAt, timeouts.keepalive))
        }
        if unsentSince > 0 { next = min(next, Self.after(unsentSince, timeouts.unreadOutput)) }
        if session.headerBlockSince > 0 { next = min(next, headerBlockDeadline) }
        return min(next, cancelled.deadline)
    }

    private var headerBlockDeadline: Int64 {
        Self.after(session.headerBlockSince, timeouts.headerBlock)
    }

    /// A retired connection without attempts is ending already.
    private var idleDeadline: Int64 {
        attempts.isEmpty && readiness == .ready ? Self.after(idleSince, timeouts.idle) : .max
    }

    override func expired(_ worker: Worker) {
        let now = worker.workspace.now
        if cancelled.expired(now: now) { pool.use { $0.serveWaiting(worker) } }
        switch readiness {
        case .connecting where now >= Self.after(openedAt, timeouts.connect):
            tripped(.upstreamConnect, worker)
            return fail("no connection within the time for it", worker)
        case .securing where now >= Self.after(openedAt, timeouts.handshake):
            tripped(.upstreamHandshake, worker)
            return fail("no TLS handshake within the time for it", worker)
        case .greeting where now >= Self.after(openedAt, timeouts.settings):
            tripped(.upstreamSettings, worker)
            return fail("the server sent no SETTINGS: does it speak HTTP/2?", worker)
        default: break
        }
        if unsentSince > 0, now >= Self.after(unsentSince, timeouts.unreadOutput) {
            endReason = "the server took no bytes any more"
            tripped(.unreadOutput, worker)
            return worker.doom(self)
        }
        if session.headerBlockSince > 0, now >= headerBlockDeadline {
            endReason = "the server did not end a header block"
            tripped(.upstreamHeaderBlock, worker)
            return worker.doom(self)
        }
        if pingSentAt > 0, now >= Self.after(pingSentAt, timeouts.keepaliveAck) {
            endReason = "the server did not answer a PING"
            tripped(.upstreamKeepalive, worker)
            return worker.doom(self)
        }
        if pingSentAt == 0, !attempts.isEmpty, now >= Self.after(readAt, timeouts.keepalive) {
            pingSentAt = now
            session.submitPing()
            markDirty(worker.workspace)
        }
        if now >= idleDeadline {
            tripped(.upstreamIdle, worker)
            retire(worker)
        }
        schedule(nextDeadline, worker.workspace)
    }

    // MARK: The end

    override func ended(_ worker: Worker) {
        if readiness == .securing {
            fail("the server ended the connection during the TLS handshake", worker)
        } else if isBeforeReady {
            fail("the server sent no SETTINGS: does it speak HTTP/2?", worker)
        }
        serverLeaves(worker)
        readiness = .retired
        while let attempt = attempts.last {
            attempt.use { worker.upstreamLost($0, endReason) }
        }
        worker.connectionEnded(self)
    }
}

/// Streams that were cancelled and that the server may still count. Performs no I/O.
///
/// A PING's ACK proves that the server has seen what was sent before it; one is outstanding at
/// most, and none is sent before the server has spoken since the last: servers strike at PINGs
/// that they sent nothing between (gRFC A8). Without an ACK they are forgotten after one or two
/// seconds.
struct CancelledStreams {
    static let forgetNanoseconds: Int64 = 1_000_000_000
    private var beforePing = 0
    private var afterPing = 0
    private var isPingOut = false
    private var mayPing = true
    private var forgetAt: Int64 = .max

    var count: Int { beforePing + afterPing }
    /// When `expired` is to be called; `Int64.max` is never.
    var deadline: Int64 { count > 0 ? forgetAt : .max }

    /// True where a PING is to be sent behind the reset.
    mutating func add(now: Int64) -> Bool {
        // Not later with each: a burst would never be forgotten.
        if forgetAt == .max { forgetAt = now + Self.forgetNanoseconds }
        guard !isPingOut, mayPing else {
            afterPing += 1
            return false
        }
        beforePing += afterPing + 1
        afterPing = 0
        isPingOut = true
        mayPing = false
        return true
    }

    mutating func serverSpoke() { mayPing = true }

    mutating func pingAcked() {
        beforePing = 0
        isPingOut = false
        if count == 0 { forgetAt = .max }
    }

    /// True where streams were forgotten.
    mutating func expired(now: Int64) -> Bool {
        guard now >= forgetAt, count > 0 else { return false }
        beforePing = 0
        // Those of the last second have one more.
        swap(&beforePing, &afterPing)
        isPingOut = false
        forgetAt = count > 0 ? now + Self.forgetNanoseconds : .max
        return true
    }
}
