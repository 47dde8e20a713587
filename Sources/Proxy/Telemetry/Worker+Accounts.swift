internal import Rules
internal import Wire

/// How an exchange's account is kept, and closed when the client's stream has ended.
extension Worker {
    /// The account is whole and the exchange is about to be given back: what metrics and the access
    /// log know of it they learn here, once for each exchange.
    @inline(always)
    func accountClosed(_ exchange: Exchange, on connection: DownstreamConnection) {
        seriesEnded(exchange, on: connection)
        log(exchange, on: connection)
    }

    /// The client's stream is closed: says who ended it and why, where that is not known yet, and
    /// what the client was told.
    @inline(always)
    func closeAccount(_ exchange: Exchange, on connection: DownstreamConnection) {
        exchange.attempt.use { attempt in
            // A status that took the place of the rest may be sent while the server's part is open.
            if attempt.response.flow.isFinished || exchange.isResponseSent {
                exchange.account.grpcStatus = attempt.grpcStatus
            }
        }
        if exchange.account.end.reason == .open {
            if exchange.isResponseSent {
                exchange.account.end.reason = exchange.account.end.success
                exchange.account.end.reset = ExchangeEnd.Reset()
                exchange.account.end.detail = .empty
            } else {
                exchange.account.end.cut(connection.session.farewell, isStopped: isStopped)
            }
        }
        if exchange.isError { noteLastAttempt(exchange) }
        accountClosed(exchange, on: connection)
    }

    /// The client has no good answer: says why no other server was asked, if one was to be.
    private func noteLastAttempt(_ exchange: Exchange) {
        switch exchange.account.end.reason {
        case .complete, .refused, .upstreamReset, .upstreamLost, .badResponse, .unreachable,
            .overLimit, .tryTimedOut:
            break
        default: return exchange.account.notRetried = .none
        }
        if exchange.account.notRetried == .none {
            let isNamed =
                exchange.isGRPC && exchange.account.grpcStatus != 0
                && exchange.route?.use {
                    $0.retry?.terms.codes.contains(exchange.account.grpcStatus) ?? false
                } == true
            exchange.account.notRetried = isNamed ? .committed : .notRetryable
        }
        workspace.counters.add(exchange.account.notRetried)
    }

    /// The request was handed to a server's stream.
    @inline(always)
    func accountSent(_ attempt: Attempt, _ exchange: Exchange, on connection: UpstreamConnection) {
        exchange.account.attempts &+= 1
        attempt.sentAt = workspace.now
        if exchange.tally.idleSince > 0 { exchange.changeTally { $0.sent(now: attempt.sentAt) } }
        connection.endpoint.use { endpoint in
            if !exchange.isOwn { attempt.series = series(of: endpoint, connection) }
            attempt.endpoint = endpoint.id
            exchange.account.server = ExchangeAccount.ServerPlace(
                endpoint: endpoint.packedAddress, path: .empty, connection: connection.serial,
                stream: attempt.upstream.streamID)
            if endpoint.packedAddress.kind == .unix { keepPath(of: endpoint, exchange) }
        }
    }

    private func keepPath(of endpoint: Endpoint, _ exchange: Exchange) {
        guard case .unix(let path) = endpoint.address else { return }
        let kept = exchange.arena.keep(Array(path.utf8).span, from: workspace.blocks)
        exchange.account.server.path = kept ?? .empty
    }
}

extension Exchange {
    /// Something other than the server's or the route's answer ends the exchange. The first such
    /// cause counts.
    func note(_ error: ProxyError, _ pool: BlockPool) {
        guard account.end.reason == .open, !isResponseSent else { return }
        account.end.reason = ExchangeEnd.Reason(error.kind)
        account.end.fault = ExchangeEnd.Side(error.fault)
        account.end.limit = error.limit
        account.end.reset = error.reset
        account.end.detail = arena.keep(Array(error.detail.utf8).span, from: pool) ?? .empty
    }
}

extension ExchangeEnd {
    /// The client's stream ended before its response did: by its own RST_STREAM, by one that
    /// nghttp2 sent it, or with its connection.
    mutating func cut(_ farewell: HTTP2Session.Farewell, isStopped: Bool) {
        if reset.frame == .resetStream {
            reason = reset.by == .client ? .clientReset : .protocolError
            fault = .client
            return
        }
        let hasBroken = farewell.limit == nil && farewell.sentCode != HTTP2Code.noError.rawValue
        if farewell.isTerminated, !hasBroken {
            reason = .connectionEnded
            limit = farewell.limit
            fault = farewell.limit == .drain ? .weir : .client
            reset = Reset(frame: .goAway, by: .weir, code: farewell.sentCode)
        } else if hasBroken {
            reason = .protocolError
            fault = .client
            reset = Reset(frame: .goAway, by: .weir, code: farewell.sentCode)
        } else if isStopped {
            reason = .connectionEnded
            fault = .weir
        } else {
            reason = .clientLost
            fault = .client
            guard farewell.receivedCode != HTTP2Code.noError.rawValue else { return }
            reset = Reset(frame: .goAway, by: .client, code: farewell.receivedCode)
        }
    }
}
