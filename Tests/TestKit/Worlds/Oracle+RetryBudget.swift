import Peers

/// What must hold of all further attempts together: the budget and the throttle.
extension Oracle {
    func judgeBudgets(_ calls: [Call]) -> [String] {
        guard !isDirect, let retry else { return [] }
        let paid = calls.flatMap(paidAttempts).sorted { $0.sentBy < $1.sentBy }
        var faults: [String] = []
        for upstream in 0..<upstreams {
            let own = paid.filter { $0.place.upstream == upstream }
            if let throttle = retry.throttle, retry.hedge == nil {
                faults += judgeThrottle(throttle, own, calls).map { "u\(upstream): \($0)" }
            }
            guard let budget = retry.budget else { continue }
            for worker in 0..<workers {
                let attempts = own.filter { $0.connection?.worker == worker }
                faults += judgeBudget(budget, attempts, calls).map {
                    "u\(upstream) in worker \(worker): \($0)"
                }
            }
        }
        return faults
    }

    /// Those that are not free in any case: one may follow a refusal.
    private func paidAttempts(_ call: Call) -> ArraySlice<AttemptRecord> {
        let free = call.attempts.contains(where: \.wasFree) ? 1 : 0
        let sent = call.attempts.sorted { ($0.sentAt, $0.index) < ($1.sentAt, $1.index) }
        return sent.dropFirst(1 + free)
    }

    /// A share of the calls of ten seconds, and some a second.
    private func judgeBudget(
        _ budget: (share: Int, minimum: Int), _ paid: [AttemptRecord], _ calls: [Call]
    ) -> [String] {
        for attempt in paid {
            let (place, time) = (attempt.place, attempt.sentBy)
            let further = paid.count { $0.sentBy <= time && $0.sentAt > time - 9_000_000_000 }
            let began = calls.count { call in
                guard call.sentAt <= time, call.sentAt > time - 40_000_000_000 else { return false }
                // One that never came to an origin may have been anybody's.
                guard let first = call.attempts.first else { return true }
                return first.place.upstream == place.upstream
                    && first.connection?.worker == attempt.connection?.worker
            }
            let allowed = began * budget.share + budget.minimum * 10 * 100 / max(workers, 1)
            if further * 100 > allowed {
                return ["\(further) further attempts for \(began) calls"]
            }
        }
        return []
    }

    /// Each was preceded by a failure, which took a token, and half of them must be left.
    private func judgeThrottle(
        _ throttle: (tokens: Int, share: Int), _ paid: [AttemptRecord], _ calls: [Call]
    ) -> [String] {
        guard let upstream = paid.first?.place.upstream else { return [] }
        for (count, attempt) in paid.enumerated() {
            let time = attempt.sentBy
            let others = calls.reduce(0) { sum, call in
                guard call.sentAt <= time else { return sum }
                let own = call.attempts.count {
                    $0.place.upstream == upstream && $0.sentAt <= time
                }
                return sum + max(own, call.attempts.isEmpty ? 1 : 0)
            }
            let left = throttle.tokens * 1_000 - (count + 1) * 1_000 + others * throttle.share * 10
            if left <= throttle.tokens * 500 {
                return ["further attempt \(count + 1) with \(left) thousandths of a token left"]
            }
        }
        return []
    }
}
