internal import Configuration
internal import Rules
internal import Wire

/// What the ends of attempts say of how fast their endpoints are.
extension Worker {
    /// The attempt's stream has closed; it is still on its connection.
    @inline(always)
    func attemptEnded(_ attempt: Attempt) {
        guard attempt.pool?.use({ $0.measuresLatency }) == true else { return }
        measure(attempt)
    }

    /// Measured to the end of the response: a server whose trailers take their time is slow.
    private func measure(_ attempt: Attempt) {
        guard let connection = attempt.upstream.connection, let pool = attempt.pool else { return }
        let now = workspace.now
        let latency = now &- attempt.sentAt
        let terms = pool.use { $0.terms.balance.latency }
        let isEnded = attempt.response.flow.isEnded
        let gaveUp = attempt.state == .abandoned && !isEnded
        let failed = !isEnded || isOverload(attempt)
        connection.use { connection in
            connection.endpoint.use { endpoint in
                var estimate = endpoint.latency ?? LatencyEstimate(terms, now: now)
                if gaveUp {
                    estimate.gaveUp(latency, now: now, terms)
                } else if failed {
                    estimate.failed(latency, now: now, terms)
                } else {
                    estimate.answered(latency, now: now, terms)
                }
                endpoint.latency = estimate
            }
        }
    }

    /// What servers say that have too much to do, or are not there: faster than any answer.
    private func isOverload(_ attempt: Attempt) -> Bool {
        switch attempt.grpcStatus {
        case ExchangeAccount.noStatus: attempt.status == 429 || attempt.status == 503
        case UInt32(GRPCStatus.resourceExhausted.rawValue): true
        default: attempt.grpcStatus == UInt32(GRPCStatus.unavailable.rawValue)
        }
    }
}
