import Peers
import Wire

/// What the simulated proxy tries again, for the whole of one history.
struct RetryPlan {
    var attempts = 3
    /// gRPC's codes, and for plain HTTP these statuses with every method.
    var codes: [Int] = [14]
    var statuses: [Int] = [500, 502, 503]
    var hedge: Int64?
    var perTry: Int64?
    var bufferKiB = 64
    var peeks = true
    /// Nothing but a tenth of the calls; nil is the default.
    var isBudgetTight = false

    init?(_ chance: inout Chance) {
        guard chance.hits(percent: 60) else { return nil }
        attempts = chance.within(2...5)
        codes = chance.pick([[14], [14, 13], [14, 1, 8], [5]])
        bufferKiB = chance.pick([1, 4, 64])
        peeks = chance.hits(percent: 70)
        isBudgetTight = chance.hits(percent: 20)
        if chance.hits(percent: 25) {
            hedge = Int64(chance.pick([1, 10, 100])) * 1_000_000
        } else if chance.hits(percent: 25) {
            perTry = Int64(chance.pick([1, 20, 300])) * 1_000_000
        }
    }

    /// The key of a route.
    func text(isGRPC: Bool) -> String {
        var parts = ["attempts: \(attempts)", "buffer: \(bufferKiB)KiB"]
        if isGRPC { parts.append("codes: [\(list(codes))]") }
        if hedge == nil, !isGRPC {
            parts.append("statuses: [\(list(statuses))], methods: [GET, POST, PUT, PATCH]")
        }
        if let hedge { parts.append("hedge: \(hedge / 1_000_000)ms") }
        if let perTry { parts.append("per_try_timeout: \(perTry / 1_000_000)ms") }
        if hedge == nil { parts.append("backoff: {base: 1ms, max: 50ms}") }
        if !peeks { parts.append("peek: off") }
        if isBudgetTight { parts.append("budget: {ratio: 10%, minimum: 0}") }
        return ", retry: {" + parts.joined(separator: ", ") + "}"
    }

    private func list(_ numbers: [Int]) -> String {
        numbers.map { "\($0)" }.joined(separator: ", ")
    }

    /// Whether another attempt may follow one that came to this, though it may have been executed.
    func mayFollow(_ attempt: AttemptRecord, isGRPC: Bool) -> Bool {
        if hedge != nil || perTry != nil { return true }
        return isGRPC
            ? !outcomes(of: attempt).isDisjoint(with: codes)
            : !statuses(of: attempt).isDisjoint(with: statuses)
    }

    private func outcomes(of attempt: AttemptRecord) -> Set<Int> {
        var found: Set<Int> = []
        if let code = attempt.resetByOrigin { found.insert(Oracle.status(ofReset: code)) }
        if attempt.origin.hasFailed { found.insert(14) }
        let fields = attempt.plan.end == .headersOnly ? attempt.plan.fields : attempt.plan.trailers
        if attempt.responseEnded, let status = fields.first("grpc-status").flatMap({ Int($0) }) {
            found.insert(status)
        }
        return found
    }

    private func statuses(of attempt: AttemptRecord) -> Set<Int> {
        var found: Set<Int> = []
        if attempt.resetByOrigin != nil || attempt.origin.hasFailed { found.insert(502) }
        if attempt.headersGiven, let status = attempt.plan.fields.first(":status") {
            found.insert(Int(status) ?? 0)
        }
        return found
    }
}

extension Oracle {
    /// What must hold of how often a call was tried, and when.
    func judgeAttempts(_ call: Call) -> [String] {
        guard !isDirect else { return [] }
        var faults: [String] = []
        // One that was refused is free, once.
        let most = (retry?.attempts ?? 1) + 1
        if call.attempts.count > most {
            faults.append("\(call.attempts.count) attempts where \(most) may be")
        }
        faults += judgePrevious(call)
        for attempt in call.attempts { faults += judgeMoment(call, attempt) }
        // Their order is that in which they came: one that was given up may come last.
        if let source = source(of: call), retry?.hedge == nil,
            call.attempts.contains(where: { $0.sentAt > source.sentBy && !$0.isVague })
        {
            faults.append("another attempt followed the one whose response was passed on")
        }
        return faults
    }

    /// gRFC A6: a first attempt says nothing, later ones how many there were; not all of them need
    /// have come as far as an origin, and those that were refused do not count.
    private func judgePrevious(_ call: Call) -> [String] {
        let said = call.attempts.map { attempt in
            attempt.requestFields.first("grpc-previous-rpc-attempts").map { Int($0) ?? -1 } ?? 0
        }
        guard call.plan.isGRPC else {
            return said.allSatisfy { $0 == 0 } ? [] : ["gRPC's field came to plain HTTP"]
        }
        let most = (retry?.attempts ?? 1) - 1
        let counted = call.attempts.indices.filter { !call.attempts[$0].wasFree }.map { said[$0] }
        // Those that were given up may reach their origins after the next.
        let overtakes = retry?.hedge != nil || retry?.perTry != nil
        let isInOrder = overtakes || said == said.sorted()
        let isFair =
            said.allSatisfy { 0...most ~= $0 } && Set(counted).count == counted.count && isInOrder
        return isFair ? [] : ["its attempts say that there were \(said) before"]
    }

    /// Nothing is begun when the time is over, nor for a caller that has its answer.
    private func judgeMoment(_ call: Call, _ attempt: AttemptRecord) -> [String] {
        let links = [attempt.origin.socket.link, call.client?.socket.link].compactMap { $0 }
        let isNarrow = links.contains {
            $0.stall != nil || $0.splitsFinely || $0.capacity < 65_536 || $0.pieceMax < 16_384
        }
        if isNarrow { return [] }
        var faults: [String] = []
        let slack = links.reduce(Self.lateness) { $0 + 20 * $1.delay.upperBound }
        if let timeout = call.plan.timeout, !call.isSlow, !call.wasCut,
            attempt.startedAt > call.sentAt + timeout.nanoseconds + slack
        {
            faults.append("attempt \(attempt.index) began after the deadline")
        }
        if attempt.index > 0, call.outcome == .complete, attempt.startedAt > call.endedAt + slack {
            faults.append("attempt \(attempt.index) began after the answer")
        }
        if let left = attempt.requestFields.first("grpc-timeout"), left.first == "0" {
            faults.append("attempt \(attempt.index) had no time left")
        }
        return faults
    }

    /// Of all calls together: no more than the budget.
    func judgeBudget(_ calls: [Call]) -> [String] {
        guard !isDirect, let retry, retry.isBudgetTight else { return [] }
        let further = calls.reduce(0) { sum, call in
            sum + max(0, call.attempts.count { !$0.wasFree } - 1)
        }
        return further * 10 > calls.count
            ? ["\(further) further attempts for \(calls.count) calls"] : []
    }
}

extension AttemptRecord {
    /// The origin has said that it did nothing.
    fileprivate var wasFree: Bool { isUnprocessed || resetByOrigin == ErrorCode.refusedStream }
}
