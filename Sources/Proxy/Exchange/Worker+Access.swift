internal import Rules
internal import Wire

/// Whether a call may go on. What the caller is told says nothing about the rules.
extension Worker {
    /// Nil where it may.
    func accessRefusal(
        _ exchange: Exchange, _ generation: Borrowed<Generation>, _ token: TokenFinding
    ) -> ProxyError? {
        let outcome = generation.use { generation in
            let outcome = generation.access.use { access($0, exchange, token) }
            count(outcome, generation)
            return outcome
        }
        exchange.account.access = outcome
        switch outcome.decision.verdict {
        case .allowed: return nil
        case .denied:
            workspace.counters.add(.accessDenied)
            return ProxyError(.denied, .downstream, "permission denied")
        case .unauthenticated:
            workspace.counters.add(.accessDenied)
            return ProxyError(.unauthenticated, .downstream, "not authenticated")
        case .unavailable:
            return ProxyError(.accessUnknown, .weir, "access cannot be decided now")
        }
    }

    private func access(
        _ table: AccessTable, _ exchange: Exchange, _ token: TokenFinding
    ) -> AccessOutcome {
        let head = exchange.head
        let headers = exchange.request.headers
        guard let connection = exchange.downstream.connection,
            let method = headers.value(at: head.method), let path = headers.value(at: head.path)
        else { return AccessOutcome(AccessDecision(.denied, .byDefault)) }
        if table.isEmpty { return table.outcomeByDefault }
        return connection.use { connection in
            method.use { method in
                path.use { path in
                    let match = table.match(
                        listener: exchange.listenerPosition, httpMethod: method, path: path)
                    let fields = RequestFieldsView(headers: headers)
                    if case .none = token, !exchange.isFromProxy {
                        return table.decide(match, connection.caller, fields: fields)
                    }
                    var caller = connection.caller
                    if exchange.isFromProxy { caller.client = connection.client(fields) }
                    caller.token = token.forRules
                    return table.decide(match, caller, fields: fields)
                }
            }
        }
    }
}
