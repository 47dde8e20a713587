internal import Configuration
internal import Rules
internal import Wire

/// What follows when an attempt comes to nothing: another one, or what the caller is told.
/// `RetryState` decides, docs/retries.md says by which rules.
///
/// Until a response is passed on the exchange is not committed: the request is kept, attempts may
/// be added, and the first response that is good enough promotes its attempt and ends the others.
extension Worker {
    /// An attempt that has no stream any more, or is given up here, came to nothing. `error` is
    /// what the caller is told unless another attempt follows.
    func attemptFailed(_ attempt: Attempt, _ error: ProxyError, _ outcome: AttemptOutcome? = nil) {
        attempt.exchange.use { exchange in
            guard exchange.isForwarded,
                exchange.downstream.isOpen || exchange.own?.isRepeatable == true
            else {
                return answer(exchange, error)
            }
            let outcome = outcome ?? self.outcome(of: error, exchange)
            guard let reason = retry(exchange, after: attempt, outcome) else { return }
            exchange.account.notRetried = reason
            leave(attempt)
            // Another attempt may still bring an answer; what no policy names is one.
            let isFinal = reason == .notRetryable || reason == .committed
            if !isFinal, exchange.hasLiveAttempt(besides: attempt) {
                return attemptSeriesEnded(attempt, exchange)
            }
            abandonAttempts(exchange)
            answer(exchange, error)
        }
    }

    /// The same for one whose stream is still open.
    func giveUp(_ attempt: Attempt, _ error: ProxyError, _ outcome: AttemptOutcome? = nil) {
        judge(attempt, error)
        abandon(attempt)
        attemptFailed(attempt, error, outcome)
    }

    private func outcome(of error: ProxyError, _ exchange: Exchange) -> AttemptOutcome {
        switch error.kind {
        case .overLimit, .messageTooLarge: return .dropped
        case .refused where error.fault == .upstream: return .refused
        default: break
        }
        return exchange.isGRPC
            ? .status(UInt32(error.grpcStatus.rawValue)) : .http(error.httpStatus)
    }

    /// Makes another attempt where the rules allow one; otherwise says why not.
    private func retry(
        _ exchange: Exchange, after attempt: Attempt, _ outcome: AttemptOutcome
    ) -> NotRetried? {
        let policy = exchange.route?.use { $0.retry }
        var state = exchange.retry
        let verdict = state.failed(outcome, policy, situation(exchange, attempt, policy))
        exchange.retry = state
        if policy != nil { countAgainstThrottle(attempt, isFailure: isFailure(verdict)) }
        switch verdict {
        case .giveUp(let reason):
            if reason == .pushbackStop { dropWaiting(exchange) }
            return reason
        case .again:
            count(.transparent, exchange)
            // In the place of the other.
            let previous = attempt.previous
            makeAttempt(exchange, after: attempt, at: workspace.now, previous: previous)
        case .retry(let delay):
            guard let policy, takeRetry(exchange, attempt, policy) else {
                withdraw(exchange)
                return .budget
            }
            count(.retry, exchange)
            let previous = exchange.retry.attempts - 1
            makeAttempt(exchange, after: attempt, at: workspace.now &+ delay, previous: previous)
            if delay > 0, let hedgeDelay = policy.terms.hedgeDelay {
                exchange.times.hedgeAt = exchange.times.retryAt &+ hedgeDelay
            }
        }
        return nil
    }

    /// A server said that there are to be no more: what waits for its time is not sent either.
    private func dropWaiting(_ exchange: Exchange) {
        exchange.times.retryAt = .max
        exchange.times.hedgeAt = .max
    }

    private func situation(
        _ exchange: Exchange, _ attempt: Attempt, _ policy: RetryPolicy?
    ) -> RetryState.Situation {
        var situation = RetryState.Situation()
        situation.method = method(exchange, policy)
        situation.pushback = attempt.pushback
        situation.isCommitted = exchange.attempt.use { $0.response.flow.hasStarted }
        situation.isReplayable = exchange.request.body.dropped == 0
        situation.now = workspace.now
        situation.deadline = exchange.deadline
        situation.draw = policy == nil ? 0 : workspace.system.random()
        return situation
    }

    private func method(_ exchange: Exchange, _ policy: RetryPolicy?) -> AttemptMethod {
        if exchange.isGRPC { return .grpc }
        guard let policy,
            let method = exchange.request.headers.value(at: exchange.head.method)
        else { return .http(isNamed: false) }
        return .http(isNamed: method.use { policy.names(method: $0) })
    }

    // MARK: What an upstream allows

    /// gRFC A6: what the policy names counts, whether or not there is another attempt, and a server
    /// that says stop. What was never processed does not.
    private func isFailure(_ verdict: RetryState.Verdict) -> Bool? {
        switch verdict {
        case .retry, .giveUp(.attempts), .giveUp(.pushbackStop), .giveUp(.deadline),
            .giveUp(.bodyOverBuffer):
            true
        case .giveUp(.notRetryable): false
        case .again, .giveUp: nil
        }
    }

    private func countAgainstThrottle(_ attempt: Attempt, isFailure: Bool?) {
        guard let isFailure else { return }
        attempt.pool?.use { $0.countCall(isFailure: isFailure) }
    }

    private func takeRetry(
        _ exchange: Exchange, _ attempt: Attempt, _ policy: RetryPolicy
    ) -> Bool {
        attempt.pool?.use { pool in
            holdsRetry(exchange, pool)
                && pool.takeRetry(policy.terms.budget, workers: loads.count, now: workspace.now)
        } ?? false
    }

    // MARK: Further attempts

    // Changed as copies: a field of an exchange that is ever changed in place is checked by the
    // runtime wherever it is touched, in every call.

    private func withdraw(_ exchange: Exchange) {
        var state = exchange.retry
        state.withdrew()
        exchange.retry = state
    }

    private func count(_ kind: RetryTally.Kind, _ exchange: Exchange) {
        workspace.counters.add(kind.counter)
        exchange.changeTally { $0.count(kind) }
    }

    private func takeHedge(_ exchange: Exchange, _ policy: RetryPolicy) -> Bool {
        var state = exchange.retry
        defer { exchange.retry = state }
        return state.hedged(policy)
    }

    private func noteTried(_ attempt: Attempt, _ exchange: Exchange) {
        guard attempt.endpoint > 0 else { return }
        var tried = exchange.tried
        tried.insert(attempt.endpoint)
        exchange.tried = tried
    }

    private func makeAttempt(
        _ exchange: Exchange, after failed: Attempt, at time: Int64, previous: UInt8
    ) {
        // Where there is another endpoint, it is asked.
        noteTried(failed, exchange)
        attemptSeriesEnded(failed, exchange)
        leave(failed)
        let next = renewed(failed, exchange)
        next.use { $0.previous = previous }
        exchange.times.tryEndsAt = .max
        exchange.times.peekEndsAt = .max
        if !exchange.hasStreamingAttempt {
            exchange.phase = .waiting
            exchange.changeTally { $0.stopped(now: workspace.now) }
        }
        guard time > workspace.now else { return next.use(place) }
        // Of several hedged ones that servers put off none comes too soon.
        let retryAt = exchange.times.retryAt
        exchange.times.retryAt = retryAt < .max ? max(retryAt, time) : time
        hurry(exchange)
    }

    /// An attempt that has not begun: the same object where nothing names it any more.
    private func renewed(_ failed: Attempt, _ exchange: Exchange) -> Borrowed<Attempt> {
        let pool = failed.pool
        let messageBytesMax = failed.messageBytesMax
        let next: Borrowed<Attempt>
        if failed.upstream.isOpen {
            next = workspace.takeAttempt(of: exchange)
            exchange.add(next)
        } else {
            next = Borrowed(failed)
            exchange.promote(next)
            failed.reset(workspace)
        }
        next.use {
            $0.pool = pool
            $0.messageBytesMax = messageBytesMax
        }
        return next
    }

    private func place(_ attempt: Attempt) {
        guard let pool = attempt.pool else { return }
        pool.use { place(attempt, in: $0) }
    }

    /// Ends an attempt whose stream nobody needs any more. One that both sides have ended closes by
    /// itself.
    private func leave(_ attempt: Attempt) {
        let isOver = attempt.response.flow.isEnded && (attempt.sink.isFinished || attempt.wasReset)
        if attempt.state == .streaming, isOver {
            attempt.state = .abandoned
        } else {
            abandon(attempt)
        }
        // Not one that waits for its time.
        if attempt.state == .idle { attempt.state = .closed }
    }

    /// Gives up all that was begun.
    func abandonAttempts(_ exchange: Exchange) {
        if exchange.others == nil { return exchange.attempt.use(abandon) }
        exchange.forEachAttempt(abandon)
    }

    // MARK: Responses

    /// A response has begun. True where it is passed on from here; false where it is held back, or
    /// another attempt was made instead.
    @inline(always)
    func settles(_ exchange: Exchange, _ attempt: Attempt) -> Bool {
        let isPlain = exchange.route?.use { $0.retry == nil } ?? true
        guard isPlain else { return weigh(exchange, attempt) }
        keepRequestNoLonger(exchange, attempt)
        return true
    }

    private func weigh(_ exchange: Exchange, _ attempt: Attempt) -> Bool {
        guard let policy = exchange.route?.use({ $0.retry }) else { return true }
        guard let outcome = outcome(exchange, attempt) else {
            let isShort = attempt.response.body.count <= policy.terms.peekBytes
            guard policy.terms.peekBytes > 0, isShort else {
                commit(exchange, attempt)
                return true
            }
            hold(exchange, policy)
            return false
        }
        let isFine = !exchange.isGRPC && !policy.names(outcome, of: method(exchange, policy))
        if outcome == .status(0) || isFine {
            countAgainstThrottle(attempt, isFailure: false)
            commit(exchange, attempt)
            return true
        }
        guard let reason = retry(exchange, after: attempt, outcome) else { return false }
        exchange.account.notRetried = reason
        // With others at work only a status that no policy names is an answer.
        if exchange.hasLiveAttempt(besides: attempt), reason != .notRetryable {
            attemptSeriesEnded(attempt, exchange)
            leave(attempt)
            return false
        }
        commit(exchange, attempt)
        return true
    }

    /// What a response says it came to; nil while that is not known.
    private func outcome(_ exchange: Exchange, _ attempt: Attempt) -> AttemptOutcome? {
        guard exchange.isGRPC else { return .http(attempt.status) }
        if attempt.response.flow.isEnded, attempt.grpcStatus != ExchangeAccount.noStatus {
            return .status(attempt.grpcStatus)
        }
        guard attempt.response.flow.isEnded || attempt.status != 200 else { return nil }
        return .status(UInt32(GRPCStatus(httpStatus: attempt.status).rawValue))
    }

    private func hold(_ exchange: Exchange, _ policy: RetryPolicy) {
        guard exchange.times.peekEndsAt == .max else { return }
        exchange.times.peekEndsAt = workspace.now &+ policy.terms.peekTime
        hurry(exchange)
    }

    /// From here on the exchange is this attempt's.
    private func commit(_ exchange: Exchange, _ attempt: Attempt) {
        letRetryGo(exchange)
        exchange.promote(Borrowed(attempt))
        exchange.times = AttemptTimes()
        keepRequestNoLonger(exchange, attempt)
        guard exchange.others != nil else { return }
        exchange.forEachAttempt { other in
            guard other !== attempt, other.isLive else { return }
            workspace.counters.add(.hedgesDropped)
            attemptSeriesEnded(other, exchange)
            leave(other)
        }
    }

    @inline(always)
    private func keepRequestNoLonger(_ exchange: Exchange, _ attempt: Attempt) {
        guard exchange.keepsRequest else { return }
        exchange.keepsRequest = false
        workspace.borrowedSegments.use {
            exchange.request.body.drop(before: &attempt.cursor, returning: $0)
        }
    }

    /// More of the request came than is kept: it can be sent once, by the attempt that is farthest.
    func limitKept(_ exchange: Exchange) {
        guard exchange.keepsRequest else { return }
        guard exchange.request.body.total > exchange.keptBytesMax else { return }
        var farthest = exchange.attempt
        exchange.forEachAttempt { other in
            let isFarther = farthest.use { $0.cursor.position < other.cursor.position }
            if other.isLive, isFarther { farthest = Borrowed(other) }
        }
        exchange.times.hedgeAt = .max
        exchange.forEachAttempt { other in
            guard Borrowed(other) != farthest, other.isLive else { return }
            attemptSeriesEnded(other, exchange)
            leave(other)
        }
        farthest.use {
            if $0.isLive { exchange.times.retryAt = .max }
            exchange.promote(farthest)
            keepRequestNoLonger(exchange, $0)
        }
    }

    // MARK: Time

    /// The exchange's timer must not fire later than its attempts' times.
    private func hurry(_ exchange: Exchange) {
        guard exchange.timer.isScheduled else { return }
        workspace.timers.move(exchange.timer, to: nextDeadline(exchange))
    }

    /// An attempt has its stream.
    @inline(always)
    func timesBegan(_ exchange: Exchange) {
        guard let policy = exchange.route?.use({ $0.retry }) else { return }
        let terms = policy.terms
        if terms.perTryTimeout > 0 {
            exchange.times.tryEndsAt = workspace.now &+ terms.perTryTimeout
        }
        if let delay = terms.hedgeDelay, exchange.times.hedgeAt == .max {
            exchange.times.hedgeAt = workspace.now &+ delay
        }
        if exchange.times.next < .max { hurry(exchange) }
    }

    /// One of its attempts' times has passed. The timer is scheduled again by whoever calls.
    func attemptTimePassed(_ exchange: Exchange) {
        let now = workspace.now
        guard exchange.isForwarded else { return exchange.times = AttemptTimes() }
        if now >= exchange.times.retryAt {
            exchange.times.retryAt = .max
            placeDue(exchange)
        }
        if now >= exchange.times.tryEndsAt {
            exchange.times.tryEndsAt = .max
            tryTimedOut(exchange)
        }
        if now >= exchange.times.peekEndsAt {
            exchange.times.peekEndsAt = .max
            passHeld(exchange)
        }
        if now >= exchange.times.hedgeAt {
            exchange.times.hedgeAt = .max
            hedge(exchange)
        }
    }

    /// One, or several where attempts are hedged; a new one may have to wait again.
    private func placeDue(_ exchange: Exchange) {
        for _ in 0..<RetryPolicy.attemptsMax {
            guard exchange.isForwarded, exchange.times.retryAt == .max else { return }
            var due: Borrowed<Attempt>?
            exchange.forEachAttempt { if $0.state == .idle { due = Borrowed($0) } }
            guard let due else { return }
            due.use(place)
        }
    }

    private func tryTimedOut(_ exchange: Exchange) {
        exchange.attempt.use { attempt in
            guard attempt.state == .streaming, !attempt.response.flow.hasStarted else { return }
            workspace.counters.add(.triesTimedOut)
            let words = "no response within per_try_timeout"
            giveUp(attempt, ProxyError(.tryTimedOut, .upstream, words), .timedOut)
        }
    }

    private func passHeld(_ exchange: Exchange) {
        var held: Borrowed<Attempt>?
        exchange.forEachAttempt {
            if $0.state == .streaming, $0.response.flow.hasHeaders { held = Borrowed($0) }
        }
        held?.use { attempt in
            commit(exchange, attempt)
            passOn(exchange, attempt)
        }
    }

    /// Another attempt beside those that last, as far as the policy and the budget go.
    private func hedge(_ exchange: Exchange) {
        // A request that is not kept is dropped as one attempt reads it: no other may.
        guard exchange.isForwarded, exchange.keepsRequest,
            let policy = exchange.route?.use({ $0.retry }), let delay = policy.terms.hedgeDelay,
            policy.mayRepeat(method(exchange, policy)), takeHedge(exchange, policy)
        else { return }
        exchange.forEachAttempt { noteTried($0, exchange) }
        let first = exchange.attempt.object
        guard takeRetry(exchange, first, policy) else { return withdraw(exchange) }
        count(.hedge, exchange)
        let next = workspace.takeAttempt(of: exchange)
        exchange.add(next)
        exchange.times.hedgeAt = workspace.now &+ delay
        next.use {
            $0.pool = first.pool
            $0.messageBytesMax = first.messageBytesMax
            $0.previous = exchange.retry.attempts - 1
            place($0)
        }
    }
}

extension Exchange {
    /// It has been routed, and no answer of Weir's own has begun.
    var isForwarded: Bool { phase == .deciding || phase == .waiting || phase == .forwarding }

    /// How much of the request's body is kept.
    var keptBytesMax: Int64 {
        let kept = route?.use { $0.retry?.terms.bufferBytes }
        return Int64(kept ?? RetryPolicy.bufferBytesDefault)
    }

    var hasStreamingAttempt: Bool {
        var found = false
        forEachAttempt { if $0.state == .streaming { found = true } }
        return found
    }

    /// Another attempt is under way, or about to be.
    func hasLiveAttempt(besides attempt: Attempt) -> Bool {
        var found = times.retryAt < .max
        forEachAttempt { if $0 !== attempt, $0.isLive { found = true } }
        return found
    }
}
