import Peers
import Wire

/// What one connection of an origin does besides answering.
struct OriginConnectionPlan {
    enum Event {
        /// Two GOAWAY frames with a pause, then serve what is left.
        case leave(pause: Int64)
        /// GOAWAY that disowns the newest `count` streams, and the end once the rest is served.
        case disown(count: Int)
        /// FIN with no word before.
        case close
        case concurrentStreams(UInt32)
        case streamWindow(UInt32)
    }

    var terms = PeerSession.Terms()
    var pace = Pace()
    var link = Link()
    var events: [(after: Int64, Event)] = []
}

/// A server of the echo service and of plain HTTP, behind one address.
final class SimulatedOrigin {
    let world: World
    let address: SocketAddress
    /// One for each connection; the last serves for all further ones.
    let plans: [OriginConnectionPlan]
    let calls: [Call]
    /// What it shows where TLS is spoken.
    let credential: Mesh.Credential?
    private(set) var connections: [OriginConnection] = []
    /// Something beyond a call's own plan may have cost it an attempt.
    var hasFailed = false

    init(
        _ world: World, _ address: SocketAddress, _ plans: [OriginConnectionPlan], _ calls: [Call],
        showing credential: Mesh.Credential?
    ) {
        self.credential = credential
        self.world = world
        self.address = address
        self.plans = plans
        self.calls = calls
    }

    /// The link that the next connection gets.
    var nextLink: Link { plans[min(connections.count, plans.count - 1)].link }

    func accept(_ socket: SimulatedSocket, _ place: Place) {
        let plan = plans[min(connections.count, plans.count - 1)]
        let connection = OriginConnection(.server, world, socket, plan.terms, plan.pace)
        if world.originsSpeakTLS { connection.secure(.server, showing: credential) }
        connection.origin = self
        connection.place = place
        connections.append(connection)
        connection.wakeSoon()
        for (delay, event) in plan.events {
            world.after(delay) { connection.perform(event) }
        }
    }
}

/// One connection of an origin, and the attempts on it.
final class OriginConnection: PeerEnd {
    weak var origin: SimulatedOrigin?
    var place = Place(upstream: 0, origin: 0)
    /// Checks that are not over, by stream, and where they are among all.
    private var checks: [Int32: Int] = [:]
    private var attempts: [Int32: AttemptRecord] = [:]
    private var calls: [Int32: Call] = [:]
    private var order: [Int32] = []
    /// Those of which everything was said, though it may wait for the socket.
    private var answered: [AttemptRecord] = []
    /// When the proxy had sent the first.
    private(set) var firstAttemptAt: Int64?
    private(set) var hasEnded = false
    /// What was on it may have been lost by it.
    var hasFailed: Bool {
        hadFailed ?? (hasEnded || socket.wasCut || isLeaving || origin?.hasFailed == true)
    }
    /// The same before the world ended it.
    private var hadFailed: Bool?
    private var isLeaving = false
    /// GOAWAY has its last stream: what comes now was promised not to be processed.
    private var hasSaidLast = false

    func perform(_ event: OriginConnectionPlan.Event) {
        guard !isOver else { return }
        loseChecks()
        switch event {
        // A last stream must not rise again (RFC 9113, 6.8): one of these is enough.
        case .leave where isLeaving, .disown where isLeaving: return
        case .leave(let pause):
            isLeaving = true
            session.shutdownNotice()
            world.after(pause) { [self] in
                guard !isOver else { return }
                session.goAway(ErrorCode.noError)
                hasSaidLast = true
                wakeSoon()
            }
        case .disown(let count):
            isLeaving = true
            let last = order.count > count ? order[order.count - 1 - count] : 0
            for stream in order where stream > last { attempts[stream]?.isUnprocessed = true }
            for (stream, index) in checks where stream > last {
                world.sightings.checks[index].isUnprocessed = true
            }
            session.goAway(lastStream: last, ErrorCode.noError)
            hasSaidLast = true
        case .close:
            origin?.hasFailed = true
            return close()
        case .concurrentStreams(let count): session.announce([.concurrentStreams(count)])
        case .streamWindow(let bytes): session.announce([.streamWindow(bytes)])
        }
        // The proxy may have begun streams that this end will never see.
        origin?.hasFailed = true
        wakeSoon()
    }

    /// The world's end for what never ends by itself.
    func abandon() {
        hadFailed = hasFailed
        // One that stalled for ever keeps even its end to itself.
        if !isOver || socket.wasCut { socket.cutConnection(byReset: true) }
    }

    // MARK: What came

    override func received(_ event: PeerEvent) {
        switch event {
        case .headers(let stream, .request, let fields): requestReceived(stream, fields)
        case .headers(let stream, _, let fields): attempts[stream]?.requestTrailers = fields
        case .data(let stream, let bytes):
            guard let attempt = attempts[stream] else { return }
            attempt.received(bytes, sentBy: sentWithin.to)
            if case .echo = attempt.plan.body, attempt.headersGiven { sendMore(attempt) }
        case .end(let stream):
            if let index = checks[stream] { return answerCheck(stream, index) }
            guard let attempt = attempts[stream] else { return }
            attempt.requestEnded = true
            if attempt.plan.waitsForRequest { answerLater(attempt) }
            if attempt.headersGiven, case .echo = attempt.plan.body { sendMore(attempt) }
        case .reset(let stream, let code):
            attempts[stream]?.resetByProxy = code
            attempts[stream]?.givenUpFrom = sentWithin.from
            attempts[stream]?.givenUpAt = sentWithin.to
            attempts[stream]?.ended(at: sentWithin.from)
        case .closed(let stream, _):
            checks[stream] = nil
            calls[stream] = nil
            guard let attempt = attempts.removeValue(forKey: stream) else { return }
            attempt.isClosed = true
            if attempt.isAnswered { answered.append(attempt) }
        case .goAway(_, let code, let debug):
            // A side that falls silent may be given up.
            if code != ErrorCode.noError, socket.link.stall == nil {
                let text = String(decoding: debug, as: UTF8.self)
                world.fail("origin connection \(socket.connection): GOAWAY \(code) \(text)")
            }
        case .protested(let stream, let code):
            // A stream that crossed a lowered limit on its way is refused, which is nobody's fault.
            if code == ErrorCode.refusedStream {
                origin?.hasFailed = true
                attempts[stream]?.isUnprocessed = true
            } else {
                world.fail("the origin's nghttp2 resets stream \(stream) with \(code)")
            }
        default: break
        }
    }

    private func requestReceived(_ stream: Int32, _ fields: [HeaderField]) {
        if world.features.checks != nil, let path = fields.first(":path"),
            fields.first("x-call") == nil
        {
            return checkReceived(stream, path)
        }
        guard let origin, let number = fields.first("x-call").flatMap({ Int($0) }),
            origin.calls.indices.contains(number)
        else { return world.fail("a request that nobody made: \(fields)") }
        let call = origin.calls[number]
        let plans = call.plan.replies
        var plan = plans[min(call.attempts.count, plans.count - 1)]
        if let ejection = world.features.ejection {
            plan = ejection.changed(plan, by: place.origin, isGRPC: call.plan.isGRPC)
        }
        let attempt = AttemptRecord(plan, self, stream: stream, index: call.attempts.count)
        attempt.requestFields = fields
        firstAttemptAt = firstAttemptAt ?? attempt.sentBy
        attempt.isUnprocessed = hasSaidLast
        world.trace.note(world.now, "attempt", call.id, socket.connection, Int(stream))
        call.attempts.append(attempt)
        attempts[stream] = attempt
        calls[stream] = call
        order.append(stream)
        grantFirstWindow(stream)
        if !plan.waitsForRequest { answerLater(attempt) }
    }

    override func allWritten() {
        for attempt in answered { attempt.answerEndsAt = writtenBytes }
        answered = []
    }

    // MARK: Answering

    private func isAlive(_ attempt: AttemptRecord) -> Bool {
        !isOver && !attempt.isClosed && attempt.resetByOrigin == nil
    }

    private func answerLater(_ attempt: AttemptRecord) {
        world.after(attempt.plan.delay) { [self] in
            if isAlive(attempt), !attempt.headersGiven { answer(attempt) }
        }
    }

    private func answer(_ attempt: AttemptRecord) {
        let plan = attempt.plan
        defer { wakeSoon() }
        if plan.end != .silence(afterBytes: nil) { attempt.answerStartsAt = writtenBytes }
        for _ in 0..<plan.interims {
            session.interim(
                attempt.stream, [HeaderField(":status", "103"), HeaderField("link", "</x>")])
        }
        switch plan.end {
        case .reset(nil, let code): return reset(attempt, code)
        case .silence(nil): return
        case .headersOnly:
            attempt.headersGiven = true
            attempt.responseEnded = true
            return session.respond(attempt.stream, fields(of: attempt), isLast: true)
        default: break
        }
        attempt.headersGiven = true
        session.respond(attempt.stream, fields(of: attempt), isLast: false)
        sendMore(attempt)
    }

    private func fields(of attempt: AttemptRecord) -> [HeaderField] {
        attempt.plan.fields + [HeaderField("x-origin", String(attempt.index))]
    }

    private func reset(_ attempt: AttemptRecord, _ code: UInt32) {
        attempt.resetByOrigin = code
        session.reset(attempt.stream, code)
    }

    /// The next portion of the response, then its end once nothing more can follow.
    private func sendMore(_ attempt: AttemptRecord) {
        guard isAlive(attempt), !attempt.responseEnded else { return }
        var body = attempt.requestBytes
        var isWhole = attempt.requestEnded
        if case .bytes(let bytes) = attempt.plan.body {
            body = bytes
            isWhole = true
        }
        var limit = body.count
        switch attempt.plan.end {
        case .reset(.some(let bytes), _), .silence(.some(let bytes)): limit = min(limit, bytes)
        default: break
        }
        let start = attempt.bytesGiven.count
        let end = max(start, min(limit, start + attempt.plan.sending.portion))
        let portion = body[start..<end]
        attempt.bytesGiven.append(contentsOf: portion)
        session.send(attempt.stream, Array(portion))
        wakeSoon()
        if end < limit {
            let rest = world.chance.within(attempt.plan.sending.rest)
            return world.after(rest) { [self] in sendMore(attempt) }
        }
        endIfDue(attempt, isWhole: isWhole)
    }

    private func endIfDue(_ attempt: AttemptRecord, isWhole: Bool) {
        switch attempt.plan.end {
        case .reset(.some(let bytes), let code):
            if attempt.bytesGiven.count >= bytes || isWhole { reset(attempt, code) }
        case .complete where isWhole:
            attempt.responseEnded = true
            session.finish(attempt.stream, trailers: attempt.plan.trailers)
        case .completeThenReset where isWhole:
            attempt.responseEnded = true
            let code = attempt.requestEnded ? nil : ErrorCode.noError
            session.finish(attempt.stream, trailers: attempt.plan.trailers, thenReset: code)
        default: break
        }
    }

    override func connectionEnded(byFailure: Bool) {
        hasEnded = true
        loseChecks()
    }

    // MARK: Checks

    private func checkReceived(_ stream: Int32, _ path: String) {
        let (from, to) = sentWithin
        world.trace.note(world.now, "check", socket.connection, Int(stream))
        world.sightings.connections[socket.connection]?.isForChecks = true
        checks[stream] = world.sightings.checks.count
        world.sightings.checks.append(
            Sightings.Check(
                place: place, isWatch: path.hasSuffix("/Watch"), sentAt: from, sentBy: to,
                wasLost: isLeaving, connection: socket.connection))
        grantFirstWindow(stream)
        let number = world.sightings.checks.count
        if order.isEmpty, world.features.checks?.disowns(number) == true { disown(stream) }
    }

    /// Says that it has not processed a check, and leaves.
    private func disown(_ check: Int32) {
        guard !isLeaving, let index = checks[check] else { return }
        isLeaving = true
        hasSaidLast = true
        world.sightings.checks[index].isUnprocessed = true
        world.sightings.checks[index].wasLost = true
        session.goAway(lastStream: max(0, check - 2), ErrorCode.noError)
        wakeSoon()
    }

    /// It may have been lost, by this end's doing.
    private func loseChecks() {
        for index in checks.values { world.sightings.checks[index].wasLost = true }
    }

    private var trouble: CheckPlan.Trouble? {
        world.features.checks?.trouble(of: place.origin, at: world.now - World.begin)
    }

    private func answerCheck(_ stream: Int32, _ index: Int) {
        let isWatch = world.sightings.checks[index].isWatch
        if isWatch { keepTelling(stream) }
        let trouble = trouble
        if trouble == .hangs { return }
        world.after(world.chance.within(Int64(0)...3_000_000)) { [self] in
            guard !isOver, checks[stream] == index else { return }
            defer { wakeSoon() }
            guard let plan = world.features.checks else { return }
            world.sightings.checks[index].answeredAt = world.now
            if isWatch { return tell(stream, trouble, isFirst: true) }
            let answer = plan.answer(in: trouble)
            world.sightings.checks[index].answer = answer.means
            session.respond(stream, answer.fields, isLast: answer.message == nil)
            guard let message = answer.message else { return }
            session.send(stream, message)
            session.finish(stream, trailers: [HeaderField("grpc-status", "0")])
        }
    }

    private func tell(_ stream: Int32, _ trouble: CheckPlan.Trouble?, isFirst: Bool) {
        let fields = [
            HeaderField(":status", "200"), HeaderField("content-type", "application/grpc"),
        ]
        if isFirst { session.respond(stream, fields, isLast: false) }
        let status: HealthMessage.Status = trouble == .saysNo ? .notServing : .serving
        session.send(stream, HealthMessage.response(status))
    }

    /// Changes, as they happen.
    private func keepTelling(_ stream: Int32) {
        let index = checks[stream]
        for period in world.features.checks?.periods ?? [] where period.origin == place.origin {
            for time in [period.from, period.until] {
                world.after(World.begin + time - world.now + 1_000) { [self] in
                    guard !isOver, let index, checks[stream] == index,
                        world.sightings.checks[index].answeredAt < world.now
                    else { return }
                    tell(stream, trouble, isFirst: false)
                    wakeSoon()
                }
            }
        }
    }
}
