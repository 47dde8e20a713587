internal import Rules
internal import Wire

/// One request and its response, from the first HEADERS to the end of both streams. Pooled.
///
///     receiving -> deciding -> waiting <-> forwarding -> over
///                     |           |           |
///                     +-----------+-----------+--> answering -> over
///
/// - receiving: the header block is not whole.
/// - deciding: validated, deadline armed; access and routing are at work and may suspend.
/// - waiting: routed; its attempt waits for a connection or a stream, or for its time to come.
/// - forwarding: an attempt has a stream; bytes flow both ways. Back to waiting where it is tried
///   again.
/// - answering: Weir's own answer is on its way; what the client still sends is discarded.
/// - over: the client's stream is closed; the exchange stays until its attempts' streams are, too.
final class Exchange {
    enum Phase { case receiving, deciding, waiting, forwarding, answering, over }
    /// `malformed` and `refused` end the stream, `abusive` the connection.
    enum FieldVerdict { case taken, malformed, refused, abusive }

    /// A block this many times over its limit ends the connection: nghttp2 decodes all of it.
    private static let abuseFactor = 4
    private static let earlyNanoseconds: Int64 = 1_000_000_000

    // The members below are touched from C callbacks through `Borrowed`; the compiler keeps its
    // exclusivity checks around them (20 % of all instructions), though no two accesses overlap:
    // callbacks only note, and processing follows when nghttp2 has returned.
    @safe @exclusivity(unchecked) var arena = HeaderArena()
    @safe @exclusivity(unchecked) var request = Message()
    @safe @exclusivity(unchecked) var head = RequestHead()
    @safe @exclusivity(unchecked) var downstream = StreamEnd<DownstreamConnection>()
    @safe @exclusivity(unchecked) var phase = Phase.receiving
    @safe @exclusivity(unchecked) var timer = WorkerTimer.none
    @safe @exclusivity(unchecked) var account = ExchangeAccount()
    private(set) var fieldCount = 0

    /// The newest attempt, or once a response is passed on the one that it came of. Carries Weir's
    /// own answers, too.
    @safe @exclusivity(unchecked) private(set) var attempt: Borrowed<Attempt>
    /// The others, as a list: given up, or hedges.
    private(set) var others: Borrowed<Attempt>?
    /// How many of its attempts have a stream.
    var streams = 0
    /// The first one lives as long as the exchange object.
    private let ownAttempt: Attempt

    var startedAt: Int64 = 0
    /// When the exchange must be over; 0 is never.
    var deadline: Int64 = 0
    /// When bytes were last passed on in either direction.
    var progressAt: Int64 = 0
    var route: Borrowed<Route>?
    /// What it is counted in, once it has a route.
    var series: Borrowed<SeriesWriter>?
    /// The configuration that the exchange began with and ends with.
    var generation: Borrowed<Generation>?
    /// The listener's position in that configuration.
    var listenerPosition = 0
    var pathServiceEnd = 0
    /// No message from the client may be larger; known once there is a route.
    var requestMessageBytesMax = UInt32.max
    /// Its connection comes from a proxy that is trusted.
    var isFromProxy = false
    /// When it is decided even without its token's keys; 0 is not waiting for any.
    var decideBy: Int64 = 0
    var waitsForKeys = false
    var hasWaitedForKeys = false
    /// It is one of an upstream's retries.
    var heldRetry: Borrowed<UpstreamPool>?
    /// A service is asked whether it is over a rate limit.
    var limitCall: Borrowed<Exchange>?
    /// What that service adds to the response.
    var addedFields = HeaderBlock()
    /// Its route makes it wait.
    var isDelayed = false
    /// Its valid token, while it waits: a cached one may go meanwhile.
    var heldToken: CachedToken?
    /// When the caller may come back, in nanoseconds from its answer; 0 says nothing, less says not
    /// to.
    var pushback: Int64 = 0
    /// What was passed on of the request stays, for another attempt.
    var keepsRequest = true
    /// Its route's mirror gets a copy of it once it is whole.
    var isToBeMirrored = false
    var retry = RetryState()
    var tally = RetryTally()
    var times = AttemptTimes()

    /// Where it belongs, where its upstream asks for that.
    var affinity = Affinity()
    /// Where it was sent before.
    var tried = TriedEndpoints()

    /// A call of Weir's own: there is no client.
    var isOwn = false
    var own: OwnCall?
    /// Its owner is about to be told: it is given back after that.
    var isHeld = false

    /// It is a watch of health, which is told of changes while it is `answering`.
    var isWatching = false

    /// END_STREAM was sent to the client.
    var isResponseSent = false
    /// The rest of the request is to be refused once the response was sent (RST_STREAM, NO_ERROR).
    var resetsAfterResponse = false

    init() {
        ownAttempt = Attempt()
        attempt = Borrowed(ownAttempt)
        ownAttempt.belong(to: self)
    }

    var isGRPC: Bool { head.isGRPC }

    /// Some of the request that came waits for its attempt.
    var hasUnread: Bool { attempt.use { request.body.unread(from: $0.cursor) > 0 } }

    /// Reset now, it would be one of the resets that a flood consists of: no response has begun, it
    /// is young, and its own deadline has not passed (clients in an outage are honest).
    func isEarly(now: Int64) -> Bool {
        let hasResponse = attempt.use { $0.response.flow.hasStarted }
        return !hasResponse && now - startedAt < Self.earlyNanoseconds
            && (deadline == 0 || now < deadline)
    }

    // MARK: What nghttp2 received

    /// Stores a field of the request's header block, or counts it where it is over a limit.
    @inline(never)
    func requestFieldReceived(
        _ name: ByteView, _ value: ByteView, _ flags: UInt8, _ pool: BlockPool
    ) -> FieldVerdict {
        let (listBytesMax, fieldsMax, pathBytesMax) = downstream.limits
        request.listBytes &+= name.count &+ value.count &+ 32
        fieldCount &+= 1
        if request.listBytes > listBytesMax || fieldCount > fieldsMax {
            return requestFieldTooMany(name, value)
        }
        let token = name.use(HeaderToken.of)
        let verdict = name.use { name in
            value.use { request.check.requestField(token, name, $0) }
        }
        guard verdict == .fine else { return .malformed }
        if token == .contentType, value.use(ContentType.isGRPC) { head.isGRPC = true }
        if token != .other {
            if token.isStrippedFromClients || token.isHopByHop && token != .te {
                // What a trusted proxy says of the client is kept for whoever asks for it.
                guard isFromProxy, isProxys(token, name) else { return .taken }
            }
            if token == .path, value.count > pathBytesMax { head.found(.path) }
            head.noted(token, at: request.headers.count)
        }
        let isStored = request.headers.append(
            copying: name, value, flags: flags, in: &arena, from: pool)
        return isStored ? .taken : .refused
    }

    /// Counts a field over a limit, and looks at no more of it than an answer needs: a megabyte of
    /// HPACK references is a million of them.
    private func requestFieldTooMany(_ name: ByteView, _ value: ByteView) -> FieldVerdict {
        let (listBytesMax, fieldsMax, _) = downstream.limits
        head.found(fieldCount > fieldsMax ? .headerFields : .headerList)
        if name.isPseudo {
            // One that is not counted would be missing.
            let token = name.use(HeaderToken.of)
            let verdict = name.use { name in
                value.use { request.check.requestField(token, name, $0) }
            }
            guard verdict == .fine else { return .malformed }
        }
        if name.equals("content-type"), value.use(ContentType.isGRPC) { head.isGRPC = true }
        let isAbuse =
            request.listBytes / Self.abuseFactor > listBytesMax
            || fieldCount / Self.abuseFactor > fieldsMax
        return isAbuse ? .abusive : .taken
    }

    private func isProxys(_ token: HeaderToken, _ name: ByteView) -> Bool {
        guard token == .weirAssertion, name.equals(MirrorField.name) else {
            return name.use(HeaderToken.isForwarding)
        }
        head.isMirrored = true
        return true
    }

    func requestTrailerReceived(
        _ name: ByteView, _ value: ByteView, _ flags: UInt8, _ pool: BlockPool
    ) -> FieldVerdict {
        if request.trailers.count == 0 {
            request.listBytes = 0
            fieldCount = 0
        }
        let (listBytesMax, fieldsMax) = downstream.trailerLimits
        request.listBytes &+= name.count &+ value.count &+ 32
        fieldCount &+= 1
        // A stream whose trailers are over the limit is reset: its request was forwarded already.
        guard request.listBytes <= listBytesMax, fieldCount <= fieldsMax else {
            let isAbuse = request.listBytes / Self.abuseFactor > listBytesMax
            return isAbuse ? .abusive : .refused
        }
        let token = name.use(HeaderToken.of)
        let verdict = name.use { name in value.use { request.check.trailer(token, name, $0) } }
        guard verdict == .fine else { return .malformed }
        if token.isStrippedFromClients || token.isHopByHop { return .taken }
        // RFC 9110, 6.5.1: nor has what says who is asking.
        if token == .authorization { return .taken }
        let isStored = request.trailers.append(
            copying: name, value, flags: flags, in: &arena, from: pool)
        return isStored ? .taken : .refused
    }

    /// A header block is whole; false where the request is malformed with it.
    @inline(always)
    func requestBlockReceived(isEnd: Bool) -> Bool {
        if request.check.fault != nil { return false }
        if request.flow.hasHeaders {
            return request.check.trailersEnded(isEnd: isEnd) && request.isWholeBody
        }
        let isConnect = request.headers.value(at: head.method)?.equals("CONNECT") ?? false
        return request.check.requestBlockEnded(isConnect: isConnect)
            && (!isEnd || request.isWholeBody)
    }

    /// Its response has no body (RFC 9110, 9.3.2).
    var isHead: Bool { request.headers.value(at: head.method)?.equals("HEAD") ?? false }

    // MARK: What was passed on

    /// Tells the client's stream, in portions that matter, that request bytes went on. `position`
    /// is how far an attempt is with them; what another had before counts once.
    @inline(always)
    func requestBytesPassed(upTo position: Int64, _ workspace: Workspace) {
        progressAt = workspace.now
        let byteCount = Int(truncatingIfNeeded: position &- request.passed)
        guard byteCount > 0 else { return }
        account.requestBytes &+= Int64(byteCount)
        downstream.connection?.use { connection in
            let credit = request.bytesPassed(byteCount, connection.session.windows)
            guard let credit else { return }
            connection.session.credit(downstream.streamID, credit)
            connection.markDirty(workspace)
        }
    }

    // MARK: Attempts

    /// `next` is what is tried now; what was stays among the others.
    func add(_ next: Borrowed<Attempt>) {
        attempt.use { $0.sibling = others }
        others = attempt
        attempt = next
    }

    /// `chosen` is the one whose response goes on.
    func promote(_ chosen: Borrowed<Attempt>) {
        if chosen == attempt { return }
        removeFromOthers(chosen)
        add(chosen)
    }

    private func removeFromOthers(_ chosen: Borrowed<Attempt>) {
        if others == chosen {
            others = chosen.use { $0.sibling }
            return
        }
        var place = others
        while let other = place {
            let next = other.use { $0.sibling }
            if next == chosen { return other.use { $0.sibling = chosen.use { $0.sibling } } }
            place = next
        }
    }

    /// All of them, the newest first.
    @inline(always)
    func forEachAttempt(_ body: (Attempt) -> Void) {
        attempt.use(body)
        var place = others
        while let other = place {
            place = other.use { $0.sibling }
            other.use(body)
        }
    }

    /// It needs its configuration no more, which may be freed from now on, its route with it: what
    /// an attempt that closes later says is not judged.
    func letGenerationGo() {
        generation?.use { $0.users -= 1 }
        generation = nil
        route = nil
    }

    /// The last thing that happens to the object: its pool goes.
    func releaseArenas(to pool: BlockPool) {
        arena.releaseAll(to: pool)
        ownAttempt.arena.releaseAll(to: pool)
    }

    /// Makes the object as new, for the next exchange.
    func reset(_ workspace: Workspace) {
        request.reset(returning: workspace.segments)
        if others != nil { giveOthers(workspace) }
        ownAttempt.reset(workspace)
        arena.reset(to: workspace.blocks)
        head = RequestHead()
        account = ExchangeAccount()
        phase = .receiving
        fieldCount = 0
        deadline = 0
        route = nil
        series = nil
        generation = nil
        pathServiceEnd = 0
        requestMessageBytesMax = .max
        isFromProxy = false
        decideBy = 0
        waitsForKeys = false
        hasWaitedForKeys = false
        affinity = Affinity()
        tried = TriedEndpoints()
        heldRetry = nil
        limitCall = nil
        addedFields = HeaderBlock()
        if isDelayed {
            isDelayed = false
            heldToken = nil
        }
        pushback = 0
        if isOwn {
            isOwn = false
            own = nil
        }
        isHeld = false
        isWatching = false
        isResponseSent = false
        resetsAfterResponse = false
        keepsRequest = true
        retry = RetryState()
        tally = RetryTally()
        times = AttemptTimes()
    }

    private func giveOthers(_ workspace: Workspace) {
        let own = Borrowed(ownAttempt)
        forEachAttempt { if Borrowed($0) != own { workspace.give($0) } }
        attempt = own
        others = nil
    }
}

/// When an exchange has to be looked at because of its attempts; `Int64.max` is never.
struct AttemptTimes: BitwiseCopyable {
    /// The next attempt is made.
    var retryAt = Int64.max
    /// The attempt's own time is over.
    var tryEndsAt = Int64.max
    /// A response that is held back is passed on.
    var peekEndsAt = Int64.max
    /// Another attempt is made beside those that last.
    var hedgeAt = Int64.max

    var next: Int64 { min(min(retryAt, tryEndsAt), min(peekEndsAt, hedgeAt)) }
}

/// Where an exchange or an attempt meets a connection.
struct StreamEnd<Connection: AnyObject> {
    private(set) var connection: Borrowed<Connection>?
    private(set) var streamID: Int32 = 0
    /// The position in its connection's list.
    var place = 0

    var isOpen: Bool { connection != nil }

    mutating func attach(_ connection: Connection, _ streamID: Int32, place: Int) {
        self.connection = Borrowed(connection)
        self.streamID = streamID
        self.place = place
    }

    mutating func detach() { connection = nil }
}

extension StreamEnd<DownstreamConnection> {
    /// Bytes and fields of a header block, bytes of a path.
    @inline(always)
    fileprivate var limits: (Int, Int, Int) {
        connection?.use {
            ($0.limits.headerListBytes, $0.limits.headerFields, $0.limits.pathBytes)
        } ?? (0, 0, 0)
    }

    fileprivate var trailerLimits: (Int, Int) {
        connection?.use { ($0.limits.trailerBytes, $0.limits.trailerFields) } ?? (0, 0)
    }
}
