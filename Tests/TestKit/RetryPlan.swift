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
    var bufferKiB = Self.bufferKiBDefault
    var peeks = true
    /// Milliseconds.
    var backoff: (base: Int64, max: Int64) = (1, 50)
    /// Of 100 calls, and a second besides; nil is the default.
    var budget: (share: Int, minimum: Int)?
    /// gRFC A6's tokens, and of 100 what each call gives back that did not fail.
    var throttle: (tokens: Int, share: Int)?
    /// Those of plain HTTP that may be repeated.
    var methods = ["GET", "POST", "PUT", "PATCH"]

    /// What holds without a policy.
    static let bufferKiBDefault = 64

    init?(_ chance: inout Chance) {
        guard chance.hits(percent: 60) else { return nil }
        attempts = chance.within(2...5)
        codes = chance.pick([[14], [14, 13], [14, 1, 8], [5]])
        bufferKiB = chance.pick([1, 4, 64])
        peeks = chance.hits(percent: 70)
        if chance.hits(percent: 20) { budget = (10, 0) }
        if chance.hits(percent: 25) {
            hedge = Int64(chance.pick([1, 10, 100])) * 1_000_000
        } else if chance.hits(percent: 25) {
            perTry = Int64(chance.pick([1, 20, 300])) * 1_000_000
        }
    }

    /// What was added since; drawn by itself, so that other draws stay what they were.
    mutating func refine(_ chance: inout Chance) {
        backoff = chance.pick([(1, 50), (1, 50), (20, 80)])
        if budget != nil { budget = chance.pick([(10, 0), (50, 0), (1, 1)]) }
        if chance.hits(percent: 25) {
            throttle = (chance.within(1...8), chance.pick([1, 1, 10, 100]))
        }
        if chance.hits(percent: 40) { methods = chance.pick([["GET"], ["GET", "PUT"]]) }
    }

    /// The key of a route.
    func text(isGRPC: Bool) -> String {
        var parts = ["attempts: \(attempts)", "buffer: \(bufferKiB)KiB"]
        if isGRPC { parts.append("codes: [\(list(codes))]") }
        if hedge == nil, !isGRPC { parts.append("statuses: [\(list(statuses))]") }
        if !isGRPC { parts.append("methods: [\(methods.joined(separator: ", "))]") }
        if let hedge { parts.append("hedge: \(hedge / 1_000_000)ms") }
        if let perTry { parts.append("per_try_timeout: \(perTry / 1_000_000)ms") }
        if hedge == nil {
            parts.append("backoff: {base: \(backoff.base)ms, max: \(backoff.max)ms}")
        }
        if !peeks { parts.append("peek: off") }
        if let budget {
            parts.append("budget: {ratio: \(budget.share)%, minimum: \(budget.minimum)}")
        }
        return ", retry: {" + parts.joined(separator: ", ") + "}"
    }

    /// The key of an upstream.
    var upstreamText: String {
        throttle.map { ", retry_throttle: {tokens: \($0.tokens), ratio: \($0.share)%}" } ?? ""
    }

    private func list(_ numbers: [Int]) -> String {
        numbers.map { "\($0)" }.joined(separator: ", ")
    }

    /// Answers that come before those a call has: failures, most of them the policy's.
    func fail(_ call: inout CallPlan, _ chance: inout Chance) {
        guard chance.hits(percent: call.isGRPC ? 40 : 25) else { return }
        let count = chance.within(1...4)
        let failures = (0..<count).map { _ in failure(isGRPC: call.isGRPC, &chance) }
        call.replies.insert(contentsOf: failures, at: 0)
    }

    private func failure(isGRPC: Bool, _ chance: inout Chance) -> ReplyPlan {
        var plan = ReplyPlan()
        plan.waitsForRequest = chance.hits(percent: 50)
        plan.delay = chance.hits(percent: 50) ? 0 : chance.within(Int64(0)...20_000_000)
        plan.end = .headersOnly
        let isNamed = chance.hits(percent: 80)
        guard isGRPC else {
            let status = isNamed ? chance.pick(statuses) : 504
            plan.fields = [
                HeaderField(":status", "\(status)"), HeaderField("content-type", "text/plain"),
            ]
            return plan
        }
        var ending = [HeaderField("grpc-status", "\(isNamed ? chance.pick(codes) : 9)")]
        if chance.hits(percent: 40) {
            let pushback = chance.pick(["0", "7", "60", "250", "-1", "-20", "soon"])
            ending.append(HeaderField("grpc-retry-pushback-ms", pushback))
        }
        plan.fields = [
            HeaderField(":status", "200"), HeaderField("content-type", "application/grpc"),
        ]
        if chance.hits(percent: 30) {
            plan.waitsForRequest = true
            plan.body = .bytes([])
            plan.end = .complete
            plan.trailers = ending
        } else {
            plan.fields += ending
        }
        return plan
    }

    /// Whether another attempt may follow one that came to this, though it may have been executed.
    func mayFollow(_ attempt: AttemptRecord, of call: CallPlan) -> Bool {
        guard call.isGRPC || methods.contains(call.method) else { return false }
        if hedge != nil || perTry != nil { return true }
        return call.isGRPC
            ? !outcomes(of: attempt).isDisjoint(with: codes)
            : !statuses(of: attempt).isDisjoint(with: statuses)
    }

    private func outcomes(of attempt: AttemptRecord) -> Set<Int> {
        var found: Set<Int> = []
        if let code = attempt.resetByOrigin { found.insert(Oracle.status(ofReset: code)) }
        if attempt.origin.hasFailed { found.insert(14) }
        if attempt.responseEnded, let status = attempt.grpcStatus { found.insert(status) }
        return found
    }

    private func statuses(of attempt: AttemptRecord) -> Set<Int> {
        var found: Set<Int> = []
        if attempt.resetByOrigin != nil || attempt.origin.hasFailed { found.insert(502) }
        if attempt.headersGiven, let status = attempt.httpStatus { found.insert(status) }
        return found
    }

    /// What an answer that the proxy has read says, in the policy's words.
    func names(_ attempt: AttemptRecord, of call: CallPlan) -> Bool {
        guard call.isGRPC || methods.contains(call.method) else { return false }
        if let code = attempt.resetByOrigin {
            let isRefusal = code == ErrorCode.refusedStream
            return call.isGRPC
                ? codes.contains(Oracle.status(ofReset: code))
                : statuses.contains(isRefusal ? 503 : 502)
        }
        guard call.isGRPC else { return attempt.httpStatus.map(statuses.contains) ?? false }
        return attempt.grpcStatus.map(codes.contains) ?? false
    }
}

/// `grpc-retry-pushback-ms` (gRFC A6).
enum PushbackWord: Equatable {
    case none, stop
    case after(nanoseconds: Int64)

    init(_ text: String?) {
        guard let text else {
            self = .none
            return
        }
        self = .stop
        if let number = Int32(text), number >= 0 {
            self = .after(nanoseconds: Int64(number) * 1_000_000)
        }
    }
}

extension AttemptRecord {
    /// Where its status is.
    private var ending: [HeaderField] { plan.end == .headersOnly ? plan.fields : plan.trailers }

    var grpcStatus: Int? { ending.first("grpc-status").flatMap { Int($0) } }

    var httpStatus: Int? { plan.fields.first(":status").flatMap { Int($0) } }

    /// What its answer says of asking again.
    var pushback: PushbackWord {
        responseEnded ? PushbackWord(ending.first("grpc-retry-pushback-ms")) : .none
    }
}
