import Peers
import Wire

/// What must hold of one call's attempts: how many, when, where, and what they say. Written from
/// docs/retries.md and gRFC A6.
///
/// When the proxy sent an attempt, and when it had read the end of an answer, is known from the
/// seam; all that it does in one turn has one time.
extension Oracle {
    func judgeAttempts(_ call: Call) -> [String] {
        guard !isDirect else { return [] }
        let sent = call.attempts.sorted { ($0.sentAt, $0.index) < ($1.sentAt, $1.index) }
        var faults: [String] = []
        // One that was refused is free, once.
        let most = (retry?.attempts ?? 1) + (sent.contains(where: \.wasFree) ? 1 : 0)
        if sent.count > most { faults.append("\(sent.count) attempts where \(most) may be") }
        faults += judgePrevious(call)
        for attempt in sent { faults += judgeMoment(call, attempt) }
        // What waited to be sent was decided on before.
        let clear = sent.filter { !$0.isVague }
        if let first = clear.first {
            for attempt in clear { faults += judgeDeadline(call, attempt, first) }
        }
        for index in clear.indices {
            for later in clear[(index + 1)...] {
                faults += judgeRepetition(call, clear[index], later)
            }
        }
        guard clear.count == sent.count else { return faults }
        for (attempt, next) in zip(clear, clear.dropFirst()) {
            faults += judgeWait(call, attempt, next) + judgeElsewhere(call, next, clear)
        }
        if let first = clear.first, let last = clear.last {
            faults += judgeLast(call, last, first)
        }
        return faults + judgeHedges(clear) + judgeCounts(call, clear)
    }

    // MARK: What each says

    /// gRFC A6: a first attempt says nothing, later ones how many there were; not all of them need
    /// have come as far as an origin, and those that were refused do not count.
    private func judgePrevious(_ call: Call) -> [String] {
        let said = call.attempts.map(\.previous)
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

    /// Exactly, where every attempt comes to an origin.
    private func judgeCounts(_ call: Call, _ sent: [AttemptRecord]) -> [String] {
        guard call.plan.isGRPC, isCalm, !originsSpeakTLS, retry?.hedge == nil,
            retry?.perTry == nil || !sent.contains(where: \.wasFree)
        else { return [] }
        var count = 0
        var hasBeenRefused = false
        for attempt in sent {
            if attempt.previous != count {
                return ["attempt \(attempt.index) says \(attempt.previous) before, not \(count)"]
            }
            if attempt.wasFree, !hasBeenRefused { hasBeenRefused = true } else { count += 1 }
        }
        return []
    }

    // MARK: When

    /// Nothing is begun when the time is over, nor for a caller that has its answer.
    private func judgeMoment(_ call: Call, _ attempt: AttemptRecord) -> [String] {
        var faults: [String] = []
        if let left = attempt.requestFields.first("grpc-timeout"), left.first == "0" {
            faults.append("attempt \(attempt.index) had no time left")
        }
        if attempt.isVague { return faults }
        if call.outcome == .complete, attempt.sentAt > call.endedAt + attempt.haste {
            faults.append("attempt \(attempt.index) began after the answer")
        }
        guard let link = call.client?.socket.link, !link.isNarrow else { return faults }
        let slack = Self.lateness + 20 * link.delay.upperBound
        if let timeout = call.plan.timeout, !call.isSlow, !call.wasCut,
            attempt.sentAt > call.sentAt + timeout.nanoseconds + slack
        {
            faults.append("attempt \(attempt.index) began after the deadline")
        }
        return faults
    }

    /// The call's time runs from before its first attempt on, and each is told what is left of it.
    private func judgeDeadline(
        _ call: Call, _ attempt: AttemptRecord, _ first: AttemptRecord
    ) -> [String] {
        guard call.plan.isGRPC else { return [] }
        let passed = attempt.sentAt - first.sentAt
        var most = Int64.max
        if let timeout = call.plan.timeout {
            most = timeout.nanoseconds - passed + Self.lateness
        }
        if most <= 0 {
            return ["attempt \(attempt.index) began after the deadline"]
        }
        var least = most
        if let perTry = retry?.perTry {
            most = min(most, perTry)
            least = min(least, perTry)
        }
        guard most < .max else { return [] }
        guard let left = attempt.timeLeft else {
            return ["attempt \(attempt.index) was told no deadline"]
        }
        if left > most {
            return ["attempt \(attempt.index) was told \(left) ns where there were \(most)"]
        }
        // The first may have waited: for a connection, or on its way from the client.
        let isKnown = retry?.perTry != nil && call.plan.timeout == nil
        return isKnown && left < least - least / 1_000
            ? ["attempt \(attempt.index) was told \(left) ns where there were \(least)"] : []
    }

    /// Where the proxy had read what an attempt came to, what that says holds.
    private func judgeRepetition(
        _ call: Call, _ attempt: AttemptRecord, _ later: AttemptRecord
    ) -> [String] {
        var faults: [String] = []
        if let time = attempt.outgrewAt, later.sentAt > time + later.haste {
            faults.append("attempt \(later.index) followed where the request was not kept")
        }
        guard let heard = attempt.heardAt, later.sentAt > heard + later.haste, !attempt.wasFree,
            !mayHaveBeenGivenUp(attempt, by: heard)
        else { return faults }
        if retry?.names(attempt, of: call.plan) != true {
            faults.append("attempt \(later.index) followed the answer of \(attempt.index)")
        }
        // One that waits for a connection may have been begun before.
        let isLate = retry?.hedge == nil || isCalm && later.wasReady(by: attempt.sentAt)
        if attempt.pushback == .stop, isLate, !call.attempts.contains(where: \.wasFree) {
            faults.append("attempt \(later.index) followed where \(attempt.index) had said stop")
        }
        return faults
    }

    /// Its time was over, and the server's answer crossed the proxy's reset.
    private func mayHaveBeenGivenUp(_ attempt: AttemptRecord, by time: Int64) -> Bool {
        retry?.perTry.map { time >= attempt.sentAt + $0 } ?? false
    }

    /// An attempt follows when its backoff is over, or when the server said.
    private func judgeWait(
        _ call: Call, _ attempt: AttemptRecord, _ next: AttemptRecord
    ) -> [String] {
        guard let retry, retry.hedge == nil, let heard = attempt.heardAt, !attempt.wasFree,
            !mayHaveBeenGivenUp(attempt, by: heard), next.sentBy > heard
        else { return [] }
        var wait = retry.backoff.base * 800_000...retry.backoff.max * 1_200_000
        if call.plan.isGRPC, case .after(let time) = attempt.pushback { wait = time...time }
        // Plain HTTP's status comes first, gRPC's last; others' bytes may have come with it.
        let came = next.sentBy - min(attempt.mayBeHeardAt, heard)
        let isReady = isCalm && isChosenFreely(next) && next.wasReady(by: attempt.sentAt)
        let isLate = isReady && next.sentAt - heard > wait.upperBound + Self.lateness
        guard came < wait.lowerBound || isLate else { return [] }
        return ["attempt \(next.index) came after \(came) ns, not after \(wait)"]
    }

    /// Where another attempt could only begin after the deadline, the failure is told at once.
    private func judgeLast(_ call: Call, _ last: AttemptRecord, _ first: AttemptRecord) -> [String]
    {
        guard retry?.hedge == nil, retry?.perTry == nil, let timeout = call.plan.timeout,
            case .after(let wait) = last.pushback, let heard = last.heardAt,
            call.outcome == .complete, source(of: call) == nil, !last.wasFree,
            heard + wait >= first.sentAt + timeout.nanoseconds,
            heard + 4 * Self.lateness < call.sentAt + timeout.nanoseconds,
            let link = call.client?.socket.link, !link.isNarrow, !call.isSlow
        else { return [] }
        return ["it waited for an attempt that could not be"]
    }

    /// Those that are sent beside others do not come sooner than the delay, one for each.
    private func judgeHedges(_ sent: [AttemptRecord]) -> [String] {
        guard let delay = retry?.hedge, isCalm, let first = sent.first else { return [] }
        for (count, attempt) in sent.enumerated().dropFirst() {
            let hasFailed = sent[..<count].contains {
                $0.mayBeHeardAt <= attempt.sentBy || ($0.endedAt ?? .max) <= attempt.sentBy
            }
            if !hasFailed, attempt.sentBy < first.sentAt + Int64(count) * delay {
                return ["attempt \(attempt.index) was sent beside the others too soon"]
            }
        }
        return []
    }

    /// One that has no answer in its own time is given up.
    func judgeTries(_ call: Call) -> [String] {
        guard !isDirect, let perTry = retry?.perTry else { return [] }
        return call.attempts.compactMap { attempt in
            let limit = attempt.sentBy + perTry + Self.lateness
            guard isSteady(attempt.place), !attempt.isVague, !attempt.isAnswered,
                attempt.mayBeHeardAt > limit,
                min(call.endedAt, closedAt, attempt.connection?.closedAt ?? 0) > limit,
                attempt.givenUpFrom ?? .max > limit
            else { return nil }
            return "attempt \(attempt.index) went on after its time"
        }
    }

    // MARK: Where

    /// A further attempt goes to another endpoint than those that were tried, where there is one
    /// with a connection that takes it.
    private func judgeElsewhere(
        _ call: Call, _ attempt: AttemptRecord, _ sent: [AttemptRecord]
    ) -> [String] {
        guard retry?.hedge == nil, features.ejection == nil, features.checks == nil,
            let own = attempt.connection,
            isChosenFreely(attempt)
        else { return [] }
        let tried = Set(sent.filter { $0.sentAt < attempt.sentAt }.map(\.place))
        guard tried.contains(attempt.place), tried.count < 4 else { return [] }
        let time = attempt.sentAt
        let upstream = attempt.place.upstream
        let others = lists.around(time, upstream).reduce(Set(lists.all(upstream))) {
            $0.intersection($1)
        }
        let other = usable.first {
            others.contains($0.place) && !tried.contains($0.place)
                && roomy.contains($0.place.origin)
                && $0.worker == own.worker && $0.from < time && time < $0.until
        }
        return other.map { ["attempt \(attempt.index) went to where one was, not to \($0.place)"] }
            ?? []
    }

    /// Neither hashes nor zones have a say.
    private func isChosenFreely(_ attempt: AttemptRecord) -> Bool {
        installations(from: attempt.sentAt, to: attempt.sentBy).allSatisfy { number in
            let text = features.balance.algorithm(
                of: attempt.place.upstream, installation: number
            ).text
            return ["hash", "zones"].allSatisfy { !text.contains($0) }
        }
    }
}

extension AttemptRecord {
    /// The origin has said that it did nothing.
    var wasFree: Bool { isUnprocessed || resetByOrigin == ErrorCode.refusedStream }

    var previous: Int {
        requestFields.first("grpc-previous-rpc-attempts").map { Int($0) ?? -1 } ?? 0
    }

    /// What its grpc-timeout says.
    fileprivate var timeLeft: Int64? {
        requestFields.first("grpc-timeout").flatMap { GRPCTimeout.parse(Array($0.utf8).span) }
    }

    /// Its connection was there already.
    fileprivate func wasReady(by time: Int64) -> Bool {
        origin.firstAttemptAt.map { $0 < time } ?? false
    }
}

extension AttemptRecord {
    /// The first of a connection are made when that is, and may be sent a moment later.
    fileprivate var haste: Int64 { sentAt <= origin.firstAttemptAt ?? 0 ? Oracle.lateness : 0 }
}

extension Link {
    /// What is sent on it may be long under way.
    var isNarrow: Bool {
        stall != nil || splitsFinely || capacity < 65_536 || pieceMax < 16_384
    }
}
