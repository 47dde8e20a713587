internal import Rules
internal import Wire

/// What the end of an attempt says of its endpoint.
///
/// Counted is what calls really returned: a status in trailers as much as in headers, resets, lost
/// connections, deadlines that passed. A server that has said by GOAWAY that it leaves is not
/// judged by what it leaves behind, nor by what it never saw; nor is any by callers that went away.
extension Worker {
    var moment: Moment { Moment(now: workspace.now, draw: workspace.system.random()) }

    /// The attempt has a stream no longer, or needs it no longer: its response is whole, or it was
    /// given up.
    @inline(always)
    func judge(_ attempt: Attempt) {
        guard let pool = attempt.pool, pool.use({ $0.watch.ejects }), !attempt.isJudged else {
            return
        }
        tell(pool, attempt, isFailure(attempt))
    }

    /// The same for one that comes to nothing, for this reason.
    @inline(always)
    func judge(_ attempt: Attempt, _ error: @autoclosure () -> ProxyError) {
        guard let pool = attempt.pool, pool.use({ $0.watch.ejects }), !attempt.isJudged else {
            return
        }
        tell(pool, attempt, isFailure(attempt, error()))
    }

    /// The client has cancelled. One that gave up as its deadline passed says what Weir's own timer
    /// would have said a moment later: its clock began earlier than Weir's.
    func judgeCancelled(_ exchange: Exchange) {
        guard exchange.deadline > 0 else { return }
        let slack = Self.deadlineSlack + (exchange.deadline - exchange.startedAt) / 20
        guard workspace.now >= exchange.deadline - slack else { return }
        exchange.forEachAttempt {
            judge($0, ProxyError(.deadlineExceeded, .weir, "deadline exceeded"))
        }
    }

    private static var deadlineSlack: Int64 { 10_000_000 }

    private func tell(_ pool: Borrowed<UpstreamPool>, _ attempt: Attempt, _ isFailure: Bool?) {
        // Without a stream it has told nothing.
        guard let connection = attempt.upstream.connection else { return }
        attempt.isJudged = true
        connection.use { connection in
            connection.endpoint.use { endpoint in
                pool.use {
                    $0.callEnded(
                        at: endpoint, isFailure: isFailure, isProbe: attempt.isProbe, self)
                }
            }
        }
    }

    /// What the response says; nil where it is not whole.
    private func isFailure(_ attempt: Attempt) -> Bool? {
        guard attempt.response.flow.isEnded else { return nil }
        return attempt.exchange.use { exchange in
            guard let route = exchange.route else { return nil }
            guard exchange.isGRPC else { return route.use { $0.isFailure(status: attempt.status) } }
            var code = attempt.grpcStatus
            if code == ExchangeAccount.noStatus {
                code = UInt32(GRPCStatus(httpStatus: attempt.status).rawValue)
            }
            return route.use { $0.isFailure(code: code) }
        }
    }

    private func isFailure(_ attempt: Attempt, _ error: ProxyError) -> Bool? {
        guard isServers(error), let connection = attempt.upstream.connection else { return nil }
        let farewell = connection.use { $0.session.farewell }
        let isGraceful = farewell.receivedCode == HTTP2Code.noError.rawValue
        if farewell.isReceived, isGraceful || error.kind == .refused { return nil }
        if attempt.failedToSend { return nil }
        return attempt.exchange.use { exchange in
            exchange.route?.use { route in
                exchange.isGRPC
                    ? route.isFailure(code: UInt32(error.grpcStatus.rawValue))
                    : route.isFailure(status: error.httpStatus)
            }
        }
    }

    private func isServers(_ error: ProxyError) -> Bool {
        switch error.kind {
        case .deadlineExceeded: true
        case .messageTooLarge, .unreachable, .overLimit: false
        default: error.fault == .upstream
        }
    }
}
