import Peers

/// Says whether what a call's client saw is what the protocol allows after what the world did.
struct Oracle {
    /// No proxy between: resets and GOAWAY reach the client as they are.
    var isDirect = false
    /// Origins refused connections, or ended some, or disowned streams.
    var unavailableIsFair = false
    /// When the proxy was told to drain, if it was, and how long its connections may go on.
    var drainedAt: Int64?
    /// The proxy could not accept for a while.
    var lackedDescriptors = false
    /// An origin's connections fell silent, or never stayed up: calls may wait for as long.
    var waitingIsFair = false
    /// What the proxy was told about who may do what, and when; none where there is no proxy.
    struct Policy {
        let at: Int64
        let access: AccessPolicy
        let mesh: MeshTerms
    }

    var policies: [Policy] = []
    /// What is tried again beyond what nobody has processed.
    var retry: RetryPlan?
    /// What else the proxy does, and what is known of that.
    var features = Features()
    var health = EndpointHistory()
    var lists = EndpointLists()
    var overloads: [Overload] = []
    var usable: [UsableConnection] = []
    var origins = 0
    var upstreams: Int { origins }
    var workers = 1
    /// From here on nobody is asked how it is any more, and no origin takes connections.
    var checksEndAt = Int64.max
    var checksOverAt = Int64.max
    var closedAt = Int64.max
    /// Origins to which nothing happens, and those that leave gracefully at most.
    var steady: Set<Int> = []
    var graceful: Set<Int> = []
    /// Those of which each connection takes many streams.
    var roomy: Set<Int> = []
    /// Attempts may be lost on the way to any origin.
    var mayLoseAttempts = false
    /// Nothing stands in the way of any call.
    var isCalm = false
    var clientsSpeakTLS = false
    var originsSpeakTLS = false
    /// How long a worker may take to hear of another policy.
    static let installing: Int64 = 100_000_000
    static let drainLimit: Int64 = 30_000_000_000

    /// What is wrong, in words; empty where all is well.
    func judge(_ call: Call) -> [String] {
        var faults: [String] = []
        for attempt in call.attempts {
            faults += judgeRequest(call, attempt) + judgePlace(call, attempt)
        }
        let sent = call.attempts.sorted { ($0.sentAt, $0.index) < ($1.sentAt, $1.index) }
        for attempt in sent.dropLast() where !mayFollow(attempt, of: call) {
            faults.append("attempt \(attempt.index) may have been executed and was repeated")
        }
        faults += judgeAttempts(call) + judgeTries(call) + judgeOverload(call) + judgeCopies(call)
        if !isDirect, let plan = features.faults { faults += plan.judge(call) }
        if let outcome = call.outcome {
            faults += judgeResponse(call, outcome)
            faults += judgeTime(call)
        } else {
            faults.append("never ended")
        }
        return faults.map { "call \(call.id): \($0) [\(describe(call))]" }
    }

    private func mayFollow(_ attempt: AttemptRecord, of call: Call) -> Bool {
        attempt.isUnprocessed || attempt.resetByOrigin == ErrorCode.refusedStream
            || retry?.mayFollow(attempt, of: call.plan) == true
    }

    // MARK: The request

    private func judgeRequest(_ call: Call, _ attempt: AttemptRecord) -> [String] {
        let plan = call.plan
        var faults: [String] = []
        let policies = policies(from: call.sentAt, to: attempt.startedAt)
        if !isDirect {
            if !policies.contains(where: { isAdmitted(call, by: $0) }) {
                faults.append("attempt \(attempt.index) got past the access rules")
            }
            faults += judgeIdentities(call, attempt).map { "attempt \(attempt.index) \($0)" }
        }
        if !plan.request.starts(with: attempt.requestBytes) {
            faults.append("attempt \(attempt.index) got other request bytes")
        } else if attempt.requestEnded, attempt.requestBytes.count != plan.request.count {
            faults.append("attempt \(attempt.index) got a truncated request that looks complete")
        }
        if attempt.requestEnded, !isSame(plan.trailers, attempt.requestTrailers) {
            let got = describe(attempt.requestTrailers)
            faults.append(
                "attempt \(attempt.index) got other trailers: \(describe(plan.trailers)) as \(got)")
        }
        if !isSame(plan.fields, attempt.requestFields) {
            let got = describe(attempt.requestFields)
            faults.append(
                "attempt \(attempt.index) got other fields: \(describe(plan.fields)) as \(got)")
        }
        let fields = attempt.requestFields
        if fields.first(":path") != plan.path || fields.first(":method") != plan.method {
            faults.append("attempt \(attempt.index) got another path or method")
        }
        if plan.isGRPC, fields.first("te") != "trailers" {
            faults.append("attempt \(attempt.index) has no te: trailers")
        }
        if plan.timeout != nil, fields.first("grpc-timeout") == nil {
            faults.append("attempt \(attempt.index) has no grpc-timeout")
        }
        if fields.first("x-weir-mirrored") != nil {
            faults.append("attempt \(attempt.index) says that it is a copy")
        }
        return faults
    }

    /// Those by which a request may have been decided in that time.
    func policies(from start: Int64, to end: Int64) -> [Policy] {
        policies.indices.filter { index in
            let next = index + 1 < policies.count ? policies[index + 1].at : .max - Self.installing
            return policies[index].at <= end && next + Self.installing >= start
        }.map { policies[$0] }
    }

    func isAdmitted(_ call: Call, by policy: Policy) -> Bool {
        let peer = clientsSpeakTLS ? call.credential?.id : nil
        return policy.access.admits(call.plan, from: call.source, peer: peer)
    }

    private func mayBeDenied(_ call: Call) -> Bool {
        policies(from: call.sentAt, to: call.endedAt).contains {
            !isAdmitted(call, by: $0)
        }
    }

    /// Fields that begin with `x-t-` are the scenario's own: all must be there, in order.
    func isSame(_ sent: [HeaderField], _ received: [HeaderField]) -> Bool {
        let isOwn: (HeaderField) -> Bool = { $0.name.hasPrefix("x-t-") }
        return sent.filter(isOwn) == received.filter(isOwn)
    }

    // MARK: The response

    private func judgeResponse(_ call: Call, _ outcome: Call.Outcome) -> [String] {
        switch outcome {
        case .cancelled: return prefixFault(call)
        case .notStarted: return []
        case .connectionLost:
            let isFair =
                call.wasCut || isOverdue(call) || (isDirect && unavailableIsFair)
                || mayBeRefused(call)
            return (isFair ? [] : ["its connection was lost"]) + prefixFault(call)
        case .unprocessed:
            return drainedAt != nil || call.wasCut || (isDirect && unavailableIsFair)
                || mayBeRefused(call)
                ? [] : ["GOAWAY left it unprocessed"]
        case .reset(let code): return judgeReset(call, code) + prefixFault(call)
        case .complete: return judgeComplete(call)
        }
    }

    /// A drain's time was over when it ended.
    private func isOverdue(_ call: Call) -> Bool {
        guard let drainedAt else { return false }
        // What waits to be accepted when the listener closes cannot be accepted without one.
        return lackedDescriptors || call.endedAt >= drainedAt + Self.drainLimit
    }

    /// The attempt whose response the client sees, where it is an origin's.
    func source(of call: Call) -> AttemptRecord? {
        guard let index = call.responseFields?.first("x-origin").flatMap({ Int($0) }),
            call.attempts.indices.contains(index)
        else { return nil }
        return call.attempts[index]
    }

    private func prefixFault(_ call: Call) -> [String] {
        guard let source = source(of: call) else {
            return call.responseBytes.isEmpty || call.responseFields?.first("x-origin") == nil
                ? [] : ["bytes of a response that no origin gave"]
        }
        var faults: [String] = []
        if !source.bytesGiven.starts(with: call.responseBytes) {
            faults.append("other response bytes than attempt \(source.index) gave")
        }
        if let fields = call.responseFields, !isSame(source.plan.fields, fields) {
            faults.append("other response fields")
        }
        if call.responseFields?.first(":status") != source.plan.fields.first(":status") {
            faults.append("another :status")
        }
        let interims = call.attempts.reduce(0) { $0 + $1.plan.interims }
        if call.interims > interims { faults.append("too many interim responses") }
        return faults
    }

    private func judgeReset(_ call: Call, _ code: UInt32) -> [String] {
        let last = call.attempts.last
        if isDirect {
            let isOrigins = last?.resetByOrigin == code || last?.isUnprocessed == true
            return isOrigins || code == ErrorCode.refusedStream ? [] : ["reset with \(code)"]
        }
        if code == ErrorCode.refusedStream {
            return isOverdue(call) || call.wasCut ? [] : ["REFUSED_STREAM was passed on"]
        }
        if call.plan.isGRPC { return ["reset with \(code) where trailers were due"] }
        // Headers that were submitted and not sent yet give way to the reset.
        // So does a response that is cut once the grace of an identity that has ended is over.
        return isCausedByOrigin(call) || mayBeRefused(call)
            ? [] : ["reset with \(code) for no reason"]
    }

    private func judgeComplete(_ call: Call) -> [String] {
        let faults = prefixFault(call)
        if isFeatures(call) { return faults }
        let own = call.responseTrailers.isEmpty ? call.responseFields ?? [] : call.responseTrailers
        let status = own.first("grpc-status").flatMap { Int($0) }
        if let source = source(of: call) {
            let isWhole =
                source.responseEnded
                && source.bytesGiven.count == call.responseBytes.count
                && isSame(source.plan.trailers, call.responseTrailers)
                && source.plan.trailers.first("grpc-status")
                    == call.responseTrailers.first("grpc-status")
            if isWhole { return faults }
            guard call.plan.isGRPC, !call.responseTrailers.isEmpty else {
                return faults + ["a truncated response looks complete"]
            }
        } else if !call.plan.isGRPC {
            let answer = call.responseFields?.first(":status") ?? ""
            let isLate = answer == "408" && call.wasCut
            let isFair =
                ["502", "503", "504"].contains(answer) && isCausedByOrigin(call) || isLate
                || answer == "403" && mayBeDenied(call)
                || answer == "401" && mayBeRefused(call)
            return isFair ? faults : faults + ["answered \(answer) for no reason"]
        }
        guard let status, status != 0 else { return faults + ["ended without a status"] }
        return fairStatuses(call).contains(status)
            ? faults : faults + ["grpc-status \(status) for no reason"]
    }

    private func isCausedByOrigin(_ call: Call) -> Bool {
        if unavailableIsFair || retry?.perTry != nil { return true }
        return call.attempts.contains {
            $0.resetByOrigin != nil || $0.origin.socket.wasCut || $0.isUnprocessed
        }
    }

    /// The statuses by which the proxy itself may end this call.
    private func fairStatuses(_ call: Call) -> Set<Int> {
        var fair: Set<Int> = []
        if let timeout = call.plan.timeout, call.endedAt - call.sentAt >= timeout.nanoseconds {
            fair.insert(4)
        }
        if mayBeDenied(call) { fair.insert(7) }
        if mayBeRefused(call) { fair.insert(16) }
        if unavailableIsFair { fair.insert(14) }
        if retry?.perTry != nil { fair.insert(4) }
        for attempt in call.attempts {
            if let code = attempt.resetByOrigin { fair.insert(Self.status(ofReset: code)) }
            if attempt.isUnprocessed || attempt.origin.socket.wasCut { fair.insert(14) }
        }
        return fair
    }

    /// gRPC over HTTP/2, "Errors": what a RST_STREAM means.
    static func status(ofReset code: UInt32) -> Int {
        switch code {
        case ErrorCode.refusedStream: 14
        case ErrorCode.cancel: 1
        case ErrorCode.enhanceYourCalm: 8
        case ErrorCode.inadequateSecurity: 7
        default: 13
        }
    }

    // MARK: Time

    /// How late news of a deadline may come, besides the way both ways.
    static let lateness: Int64 = 5_000_000

    /// How long a call may wait for an attempt that no connection can be had for.
    static let waitMax: Int64 = 20_000_000_000

    private func judgeTime(_ call: Call) -> [String] {
        let waited = call.endedAt - call.sentAt
        if call.attempts.isEmpty, waited > Self.waitMax, !call.wasCut, !isDirect, !waitingIsFair,
            call.outcome != .notStarted, call.outcome != .cancelled
        {
            return ["waited \(waited / 1_000_000) ms without an attempt"]
        }
        return judgeLateness(call)
    }

    private func judgeLateness(_ call: Call) -> [String] {
        guard !isDirect, !lackedDescriptors, let timeout = call.plan.timeout, !call.isSlow,
            !call.wasCut,
            call.outcome != .notStarted, let link = call.client?.socket.link, link.stall == nil
        else { return [] }
        let overrun = call.endedAt - call.sentAt - timeout.nanoseconds
        // On a narrow link the request itself may be long under way.
        let isNarrow = link.splitsFinely || link.capacity < 65_536 || link.pieceMax < 16_384
        let fair = isNarrow ? 10_000_000_000 : Self.lateness + 20 * link.delay.upperBound
        return overrun > fair ? ["its deadline was overrun by \(overrun / 1_000) us"] : []
    }

    private func describe(_ fields: [HeaderField]) -> String {
        fields.map { "\($0.name)=\($0.value.prefix(8))(\($0.value.utf8.count))" }
            .joined(separator: ", ")
    }

    private func describe(_ call: Call) -> String {
        let plan = call.plan
        var text = "\(plan.isGRPC ? "gRPC" : plan.method) \(plan.request.count) bytes"
        text += " (\(call.givenBytes) given, \(call.unsentBytes) unsent)"
        text += ", cancel \(plan.cancel), sent \(call.sentAt / 1000)us"
        text += ", ended \(call.endedAt / 1000)us \(call.outcome.map { "\($0)" } ?? "never")"
        text +=
            ", timeout \(plan.timeout?.text ?? "none"), conn \(call.client?.socket.connection ?? 0)"
        text += " stream \(call.stream), \(call.responseBytes.count) bytes back"
        text += ", fields \(describe(call.responseFields ?? []))"
        text += ", trailers \(describe(call.responseTrailers))"
        for attempt in call.attempts {
            text += "; attempt \(attempt.index) conn \(attempt.origin.socket.connection)"
            text += " stream \(attempt.stream) plan \(attempt.plan.end)"
            text += " got \(attempt.requestBytes.count)\(attempt.requestEnded ? " all" : "")"
            text += " gave \(attempt.bytesGiven.count)\(attempt.responseEnded ? " all" : "")"
            text += attempt.resetByProxy.map { " reset by proxy \($0)" } ?? ""
            text += attempt.resetByOrigin.map { " reset by origin \($0)" } ?? ""
            text += attempt.isUnprocessed ? " disowned" : ""
            text += attempt.origin.socket.wasCut ? " cut" : ""
        }
        return text
    }
}
