internal import Rules
internal import Synchronization

/// How many requests of one worker an upstream's servers may have.
final class AdaptiveConcurrency {
    private var gradient: GradientLimit
    private let counts: UpstreamCounts

    /// - counts: where the sum of all workers' limits is shown.
    init(_ terms: GradientTerms, workers: Int, _ counts: UpstreamCounts) {
        gradient = GradientLimit(terms.shared(by: workers))
        self.counts = counts
        counts.adaptiveLimit.add(gradient.limit, ordering: .relaxed)
    }

    deinit { counts.adaptiveLimit.subtract(gradient.limit, ordering: .relaxed) }

    /// Whether another may go besides so many.
    func allows(besides requests: Int) -> Bool { gradient.allows(besides: requests) }

    /// - time: what the server took, or nil where it has not answered.
    func ended(after time: Int64?, _ workspace: Workspace) {
        guard let time else { return }
        let before = gradient.limit
        gradient.answered(after: time, at: workspace.now, draw: workspace.system.random())
        let change = gradient.limit - before
        if change != 0 { counts.adaptiveLimit.add(change, ordering: .relaxed) }
    }
}

extension Attempt {
    /// From the request's HEADERS to the answer's, so that streams count like calls. A server that
    /// had not answered when the deadline passed took so long at least. Nil where it broke off, or
    /// the client did: that says nothing of its speed.
    func serverTime(at now: Int64) -> Int64? {
        exchange.use { exchange in
            if exchange.account.answeredAt > sentAt, response.flow.hasStarted {
                return exchange.account.answeredAt &- sentAt
            }
            return exchange.deadline > 0 && now >= exchange.deadline ? now &- sentAt : nil
        }
    }
}
