internal import Configuration
internal import Identity
internal import Rules
internal import Wire

/// A client's connection: owns the server session and the exchanges that came over it.
final class DownstreamConnection: Connection {
    let session: ServerSession
    let limits: DownstreamLimits
    private let timeouts: DownstreamTimeouts
    /// Which of the worker's listeners accepted it; stays when the configuration changes.
    let listener: Listener
    // Changed from callbacks, see Exchange.
    @safe @exclusivity(unchecked) private(set) var exchanges: [Borrowed<Exchange>] = []
    /// Who is at its other end, as access rules see it.
    private(set) var caller: AccessCaller
    /// What a proxy in front is to say first; nil once it has, and where nothing is to be said.
    private var announcement: ProxyAnnouncement?
    /// That proxy, where it has said that the client is somebody else.
    private var announcer: SocketAddress?
    private var drain = ConnectionDrain()
    private var preface = ClientPreface()
    private var hasSpoken = false
    private var settingsAcked = false
    private let openedAt: Int64
    /// When HTTP/2 could begin: later than `openedAt` with TLS.
    private var beganAt: Int64
    private var identity = IdentityLifetime()
    /// Counted among those that shake hands.
    private var isShakingHands = false
    /// Who the client has proven to be; nil for one that showed no certificate.
    private(set) var peerIdentity: PeerIdentity?
    /// The same as logs name it: a SPIFFE ID, or `dns:` and the first name.
    private(set) var provenName: [UInt8]?
    /// What it was believed by.
    private var trustDigest: [UInt8] = []
    /// What it remembers of the last token that came on it.
    var tokenMemo = TokenMemo()
    private var idleSince: Int64
    private var ageAt: Int64

    /// Nil where memory ran out.
    init?(
        _ tag: PollTag, _ peer: SocketAddress, _ listener: Listener, _ workspace: Workspace
    ) {
        let terms = listener.terms
        limits = terms.limits
        timeouts = terms.timeouts
        self.listener = listener
        caller = AccessCaller(at: peer)
        announcement = terms.intake.proxyProtocol.map { ProxyAnnouncement($0.version) }
        session = ServerSession(workspace, terms.limits)
        openedAt = workspace.now
        beganAt = workspace.now
        idleSince = workspace.now
        ageAt = .max
        super.init(tag, peer, session)
        session.setOwner(self)
        if let server = listener.tls {
            guard let tls = server.makeSession(workspace) else { return nil }
            secure(tls)
            isShakingHands = true
            listener.connections.handshakeBegan()
        } else {
            // With TLS the client has agreed to HTTP/2 already.
            isGreeting = true
        }
        if timeouts.connectionAge > 0 {
            // A tenth of jitter either way (gRFC A9), so that clients do not come back all at once.
            let tenth = timeouts.connectionAge / 10
            let jitter = Int64(truncatingIfNeeded: workspace.system.random() >> 1) % (2 * tenth + 1)
            ageAt = openedAt + timeouts.connectionAge - tenth + jitter
        }
        schedule(nextDeadline, workspace)
    }

    /// `, ` and its address, as it is added to `x-forwarded-for`.
    private(set) lazy var forwarded: [UInt8] = {
        let isUnix = if case .unix = peer { true } else { false }
        return Array((isUnix ? ", unknown" : ", \(caller.source)").utf8)
    }()

    /// What servers are told of its certificate; nil where it showed none, or they are not told.
    var certificateField: [UInt8]? {
        let forwards = listener.borrowedTerms.use { $0.forwardsClient }
        return forwards ? provenField : nil
    }

    private lazy var provenField: [UInt8]? = peerIdentity.map { peer in
        let identities = tls?.server?.terms.identities ?? []
        let own = identities.count == 1 ? identities[0].spiffeID : nil
        return ClientCertificateField.value(of: peer, by: own)
    }

    override var streamCount: Int { exchanges.count }
    override var requestsPerTurn: Int { limits.requestsPerTurn }
    override var outputBytesMax: Int { min(Workspace.outputBytes, limits.unreadOutputBytes) }
    override var ownerName: String { listener.terms.name }
    /// Who is behind the proxy at its other end.
    func client(_ fields: RequestFieldsView) -> IPAddress {
        listener.borrowedTerms.use { terms in
            terms.intake.trustedProxies?.client(behind: caller.source, fields: fields)
                ?? caller.source
        }
    }

    override var sender: SocketAddress? { announcer }

    override func describe() -> String {
        let proxy = announcer.map { " proxy=\($0)" } ?? ""
        return "listener=\(listener.terms.name) peer=\(peer)\(proxy)"
    }

    // MARK: TLS

    override func secured(_ worker: Worker) {
        endHandshake()
        let workspace = worker.workspace
        beganAt = workspace.now
        idleSince = workspace.now
        workspace.counters.add(.tlsHandshakes)
        if let tls, let peer = tls.peer {
            peerIdentity = peer
            let name = peer.spiffeID?.description ?? peer.dnsNames.first.map { "dns:" + $0 }
            provenName = name.map { Array($0.utf8) }
            caller.peer = AccessPeer(peer)
            trustDigest = tls.server?.terms.trustDigest ?? []
            identity.proven(
                until: peer.expiresAt, grace: timeouts.identityGrace, now: workspace.now,
                unixNow: workspace.system.unixTime())
        }
        schedule(nextDeadline, workspace)
        // The configuration may have changed while the handshake went on by the earlier one.
        judgeAgain(worker)
    }

    override func handshakeFailed(_ failure: TLSFailure, _ worker: Worker) {
        endHandshake()
        worker.workspace.counters.add(.tlsHandshakeFailures)
        worker.noteHandshakeFailure("\(describe()) reason=\"\(failure)\"")
    }

    private func endHandshake() {
        guard isShakingHands else { return }
        isShakingHands = false
        listener.connections.handshakeEnded()
    }

    /// The client's certificate has expired, was revoked, or is not trusted any more.
    var hasIdentityEnded: Bool { identity.hasEnded }

    /// True where the listener's terms have changed in what they believe.
    var isToBeJudgedAgain: Bool {
        guard !isDoomed, !isLingering, isSecured, !hasIdentityEnded, let server = listener.tls
        else { return false }
        if peerIdentity == nil { return server.terms.clients == .required }
        return server.terms.trustDigest != trustDigest
    }

    /// Judges the client by the listener's newest terms.
    func judgeAgain(_ worker: Worker) {
        guard isToBeJudgedAgain, let server = listener.tls else { return }
        let unixNow = worker.workspace.system.unixTime()
        guard peerIdentity != nil, let tls else {
            // Who has shown nothing is asked to come back with a certificate.
            return beginDrain(spread: 0, limit: listener.terms.timeouts.drain, worker)
        }
        let expectation = PeerExpectation(
            bundles: server.terms.trust, purpose: .client, patterns: [], dnsName: nil)
        switch expectation.judge(tls.chain, at: unixNow) {
        case .success: trustDigest = server.terms.trustDigest
        case .failure(let refusal):
            perform(identity.revoke(now: worker.workspace.now), "\(refusal)", worker)
        }
    }

    private func perform(_ action: IdentityLifetime.Action, _ reason: String, _ worker: Worker) {
        let workspace = worker.workspace
        switch action {
        case .none: return
        case .end:
            workspace.counters.add(.identitiesEnded)
            let words = "identity ended \(describe()) reason=\"\(reason)\""
            workspace.log.write(.notice, words)
            drain.begin(at: workspace.now, limit: 0)
            perform(drain.expired(now: workspace.now), worker)
        case .cut:
            let words = "the client's identity has ended"
            for exchange in exchanges {
                exchange.use { worker.fail($0, ProxyError(.identityEnded, .downstream, words)) }
            }
            // Time for what was said to be taken.
            drain.begin(at: workspace.now, limit: ConnectionDrain.noticeNanoseconds)
            markDirty(workspace)
        }
        if !isDoomed { schedule(nextDeadline, workspace) }
    }

    // MARK: Exchanges

    func attach(_ exchange: Exchange, _ streamID: Int32) {
        exchange.downstream.attach(self, streamID, place: exchanges.count)
        exchange.isFromProxy = listener.borrowedTerms.use { terms in
            terms.intake.trustedProxies?.trusts(caller.source) == true
        }
        exchanges.append(Borrowed(exchange))
    }

    /// Takes an exchange off the list; the last one moves to its place.
    func detach(_ exchange: Exchange, _ workspace: Workspace) {
        let place = exchange.downstream.place
        guard let last = exchanges.popLast() else { return }
        if place < exchanges.count {
            exchanges[place] = last
            last.use { $0.downstream.place = place }
        }
        exchange.downstream.detach()
        guard exchanges.isEmpty else { return }
        idleSince = workspace.now
        if !isDoomed, !isLingering { schedule(idleDeadline, workspace) }
    }

    // MARK: What speaks

    override func takeAnnouncement(
        _ buffer: ReadBuffer, _ count: Int, _ worker: Worker
    ) -> Int? {
        switch buffer.use(count, { announcement?.received($0) }) {
        case nil: return count
        case .undecided: return 0
        case .refused(let fault):
            worker.refusedAnnouncement(of: self, "\(fault)")
            return nil
        case .announced(let client, let used):
            announcement = nil
            if let client {
                announcer = peer
                announce(client)
                caller = AccessCaller(at: client)
            }
            return buffer.removeFirst(used, of: count)
        }
    }

    override func greet(_ bytes: Span<UInt8>, _ worker: Worker) -> Bool {
        if preface.isRefused { return false }
        switch preface.received(bytes) {
        case .begun: return true
        case .undecided: return false
        case .http2, .unknown:
            isGreeting = false
            return true
        case .http1(let isHead):
            worker.refused(.http1Clients, on: self)
            refuse(isHead ? HTTP1Answer.head : HTTP1Answer.whole, worker)
        case .tls:
            worker.refused(.tlsClients, on: self)
            refuse(.empty, worker)
        }
        return false
    }

    private func refuse(_ words: ByteView, _ worker: Worker) {
        if finish(worker, patience: 0, saying: words) == .ended { worker.doom(self) }
    }

    // MARK: What was noted

    override func noted(_ worker: Worker) {
        let workspace = worker.workspace
        if session.notes.settingsReceived { hasSpoken = true }
        if session.notes.settingsAcked { settingsAcked = true }
        if session.notes.pingAcked {
            session.notes.pingAcked = false
            perform(drain.pingAcked(), worker)
        }
        if session.headerBlockSince > 0 { schedule(nextDeadline, workspace) }
        if exchanges.isEmpty { schedule(nextDeadline, workspace) }
    }

    override var lingerPatience: Int64 {
        timeouts.unreadOutput > 0 ? timeouts.unreadOutput : Lingering.totalNanoseconds
    }

    override func unreadDeadline(_ now: Int64) -> Int64 { Self.after(now, timeouts.unreadOutput) }

    // MARK: Time

    private static func after(_ start: Int64, _ timeout: Int64) -> Int64 {
        timeout > 0 ? start &+ timeout : .max
    }

    private var idleDeadline: Int64 {
        exchanges.isEmpty && !drain.isDraining ? Self.after(idleSince, timeouts.idle) : .max
    }

    private var headerBlockDeadline: Int64 {
        Self.after(session.headerBlockSince, timeouts.headerBlock)
    }

    private var nextDeadline: Int64 {
        // A drain has to wait until the client can be told.
        if !isSecured { return Self.after(openedAt, timeouts.handshake) }
        var next = min(drain.deadline, idleDeadline, ageAt, identity.deadline)
        if !hasSpoken { next = min(next, Self.after(beganAt, timeouts.preface)) }
        if !settingsAcked { next = min(next, Self.after(beganAt, timeouts.settingsAck)) }
        if session.headerBlockSince > 0 { next = min(next, headerBlockDeadline) }
        if unsentSince > 0 { next = min(next, Self.after(unsentSince, timeouts.unreadOutput)) }
        return next
    }

    override func expired(_ worker: Worker) {
        let now = worker.workspace.now
        if !isSecured { return handshakeExpired(now, worker) }
        perform(drain.expired(now: now), worker)
        if isDoomed { return }
        if now >= identity.deadline {
            let unixNow = worker.workspace.system.unixTime()
            let action = identity.expired(now: now, unixNow: unixNow)
            perform(action, "the client's certificate has expired", worker)
        }
        if now >= ageAt {
            ageAt = .max
            tripped(.connectionAge, worker)
            drain.begin(at: now, limit: timeouts.connectionAgeGrace)
            perform(drain.expired(now: now), worker)
        }
        if let (limit, code) = brokenPromise(now) { return end(limit, code, worker) }
        if now >= idleDeadline {
            // Without a stream there is nothing that a first GOAWAY would save; a request that
            // crosses the second is above its last ID, so that the client knows it was not seen.
            tripped(.idle, worker)
            drain.beginWithoutNotice()
            perform(.announce, worker)
            return
        }
        schedule(nextDeadline, worker.workspace)
    }

    /// Nobody can be told anything yet.
    private func handshakeExpired(_ now: Int64, _ worker: Worker) {
        if now >= Self.after(openedAt, timeouts.handshake) {
            tripped(.handshake, worker)
            return worker.doom(self)
        }
        schedule(nextDeadline, worker.workspace)
    }

    /// What the client owed and did not do in time.
    private func brokenPromise(_ now: Int64) -> (Limit, HTTP2Code)? {
        if !hasSpoken, now >= Self.after(beganAt, timeouts.preface) {
            return (.preface, .protocolError)
        }
        if !settingsAcked, now >= Self.after(beganAt, timeouts.settingsAck) {
            return (.settingsAck, .settingsTimeout)
        }
        if session.headerBlockSince > 0, now >= headerBlockDeadline {
            return (.headerBlock, .enhanceYourCalm)
        }
        if unsentSince > 0, now >= Self.after(unsentSince, timeouts.unreadOutput) {
            return (.unreadOutput, .enhanceYourCalm)
        }
        return nil
    }

    private func end(_ limit: Limit, _ code: HTTP2Code, _ worker: Worker) {
        tripped(limit, worker)
        session.terminate(code: code, limit: limit)
        // Who has not said whose connection it is cannot be told anything.
        if unsentSince > 0 || announcement != nil { return worker.doom(self) }
        if finish(worker, patience: 0) == .ended { worker.doom(self) }
    }

    // MARK: Shedding

    /// Has nothing to do, and had nothing since then at least.
    func mayBeShed(idleSince: Int64) -> Bool {
        exchanges.isEmpty && isSecured && hasSpoken && !drain.isDraining && !isDoomed
            && !isLingering && self.idleSince <= idleSince
    }

    /// As for a connection that was idle for too long.
    func shed(_ worker: Worker) {
        drain.beginWithoutNotice()
        perform(.announce, worker)
    }

    // MARK: Draining

    /// Asks the client to go; at a random moment within `spread` nanoseconds from now.
    func beginDrain(spread: Int64, limit: Int64, _ worker: Worker) {
        let workspace = worker.workspace
        let delay = spread > 0 ? Int64(workspace.system.random() % UInt64(spread)) : 0
        drain.begin(at: workspace.now + delay, limit: limit)
        if isSecured { perform(drain.expired(now: workspace.now), worker) }
        if !isDoomed { schedule(nextDeadline, workspace) }
    }

    private func perform(_ action: ConnectionDrain.Action, _ worker: Worker) {
        switch action {
        case .none: return
        case .notice:
            session.submitShutdownNotice()
            session.submitPing()
        case .announce:
            session.submitGoAway()
        case .cut:
            if !exchanges.isEmpty { tripped(.drain, worker) }
            session.terminate(code: .noError, limit: .drain)
            if finish(worker, patience: 0) == .ended { worker.doom(self) }
            return
        }
        markDirty(worker.workspace)
        schedule(nextDeadline, worker.workspace)
    }

    // MARK: The end

    override func ended(_ worker: Worker) {
        if let announcement {
            endHandshake()
            if announcement.hasBegun { worker.refusedAnnouncement(of: self, "it is cut short") }
        }
        if isShakingHands {
            handshakeFailed(.openSSL("the connection ended before its handshake"), worker)
        }
        while let exchange = exchanges.last {
            exchange.use { worker.downstreamClosed($0, HTTP2Code.cancel.rawValue) }
        }
    }
}
