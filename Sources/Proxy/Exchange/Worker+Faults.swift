internal import Rules
internal import Wire

/// Faults that a route injects (docs/faults.md): first the delay, then the end, and before any byte
/// goes to a server.
extension Worker {
    /// True where the request goes on at once; else it was answered, or waits for its delay's end
    /// in `deciding`, where its deadline and its client's cancel find it.
    func passesFaults(_ exchange: Exchange, _ route: Route) -> Bool {
        guard let faults = route.faults else { return true }
        let ceiling = faults.ceiling(RequestFieldsView(headers: exchange.request.headers))
        if let delay = faults.delay,
            FaultTerms.happens(delay.share, ceiling, draw: workspace.system.random())
        {
            workspace.counters.add(.faultDelays)
            exchange.isDelayed = true
            exchange.heldToken = tokens.deciding?.object
            exchange.decideBy = workspace.now &+ delay.duration
            workspace.timers.move(exchange.timer, to: nextDeadline(exchange))
            return false
        }
        return !isAborted(exchange, faults, ceiling)
    }

    /// The exchange's timer says that it has waited long enough.
    func delayEnded(_ exchange: Exchange) {
        exchange.isDelayed = false
        withHeldToken(of: exchange) {
            guard exchange.phase == .deciding, let route = exchange.route else { return }
            route.use { route in
                guard let faults = route.faults else { return }
                let ceiling = faults.ceiling(RequestFieldsView(headers: exchange.request.headers))
                if !isAborted(exchange, faults, ceiling) { proceed(route, exchange) }
            }
        }
    }

    private func isAborted(_ exchange: Exchange, _ faults: FaultTerms, _ ceiling: UInt64) -> Bool {
        guard let abort = faults.abort,
            FaultTerms.happens(abort.share, ceiling, draw: workspace.system.random())
        else { return false }
        workspace.counters.add(.faultAborts)
        var error = ProxyError(.fault, .weir, "a fault that the route injects")
        error.injected = abort
        answer(exchange, error)
        return true
    }
}
