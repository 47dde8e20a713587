internal import Rules
internal import Wire

/// What a worker leaves undone where there is too much to do.
struct WorkerOverload {
    /// As the control thread says.
    var memory = OverloadStage.none
    var lag = LoopLag(limit: 0)
    var timer = WorkerTimer.none
    /// Clients without streams that are to be told to go.
    var toShed: [PollTag] = []
    /// When a line may be logged again.
    var quietUntil = Int64.min

    var stage: OverloadStage { max(memory, lag.stage) }
}

extension Worker {
    private static let shedPerTurn = 64
    /// How long a client must have had nothing to do: one that is between two calls would only come
    /// back at once.
    private static let idleNanoseconds: Int64 = 1_000_000_000
    private static let lookNanoseconds: Int64 = 100_000_000
    /// When callers may come back.
    private static let pushbackNanoseconds: Int64 = 1_000_000_000
    private static let healthPrefix: StaticString = "/grpc.health.v1.Health/"

    /// The control thread has looked at the memory in use. Told again while a stage holds: clients
    /// that have become idle since are to go, too.
    func memoryLooked(_ stage: OverloadStage) {
        overload.memory = stage
        applyOverload()
    }

    func setLagLimit(_ limit: Int64) {
        overload.lag.set(limit: limit)
        noteworthyLag = overload.lag.noteworthy
        applyOverload()
    }

    /// The lag of a turn that ends now is worth looking at.
    func lagged(_ lag: Int64, at now: Int64) {
        if overload.lag.turned(lag: lag, at: now) { lagStageChanged(lag) }
        noteworthyLag = overload.lag.noteworthy
    }

    func overloadTimerFired() {
        overload.timer = .none
        if overload.lag.looked(at: workspace.now) { lagStageChanged(0) }
        noteworthyLag = overload.lag.noteworthy
        applyOverload()
    }

    private func lagStageChanged(_ lag: Int64) {
        let stage = overload.lag.stage
        workspace.counters.overload.set(UInt64(stage.rawValue), at: 0)
        let words = "overload lag stage=\(stage.name) worker=\(index) lag_ms=\(lag / 1_000_000)"
        workspace.log.write(stage == .none ? .notice : .warning, words)
        applyOverload()
    }

    private func applyOverload() {
        let stage = overload.stage
        refusesRequests = stage >= .requests
        if stage >= .idle { listIdle() }
        if stage >= .connections { holdAccepting() }
        guard stage != .none, !overload.timer.isScheduled else { return }
        // Without a turn nothing would end what lateness has begun.
        let at = workspace.now + Self.lookNanoseconds
        overload.timer = workspace.timers.schedule(.overload, at: at)
    }

    private func listIdle() {
        guard overload.memory >= .idle, overload.toShed.isEmpty else { return }
        let since = workspace.now - Self.idleNanoseconds
        overload.toShed = table.compactMap { slot in
            guard let connection = slot.connection as? DownstreamConnection,
                connection.mayBeShed(idleSince: since)
            else { return nil }
            return connection.tag
        }
        isShedding = !overload.toShed.isEmpty
    }

    func shedSome() {
        let since = workspace.now - Self.idleNanoseconds
        for _ in 0..<Self.shedPerTurn {
            guard let tag = overload.toShed.popLast() else { return isShedding = false }
            let slot = table[Int(tag.descriptor)]
            guard slot.generation == tag.generation,
                let connection = slot.connection as? DownstreamConnection,
                connection.mayBeShed(idleSince: since)
            else { continue }
            workspace.counters.add(.overloadDepartures)
            connection.shed(self)
        }
    }

    private func holdAccepting() {
        if acceptsPaused || isDraining { return }
        acceptsPaused = true
        for listener in listeners { workspace.system.unwatch(listener.tag.descriptor) }
        let at = workspace.now + Self.acceptRestNanoseconds
        acceptTimer = workspace.timers.schedule(.accepting, at: at)
    }

    /// True where the request was answered: there is no room for it.
    func isRefusedByOverload(_ exchange: Exchange) -> Bool {
        let path = exchange.request.headers.value(at: exchange.head.path)
        if path?.hasPrefix(Self.healthPrefix) == true { return false }
        workspace.counters.add(.overloadRefusals)
        exchange.pushback = Self.pushbackNanoseconds
        let words: StaticString =
            overload.memory >= .requests ? "too much memory is in use" : "too much is to be done"
        answer(exchange, ProxyError(.overloaded, .weir, "\(words)"))
        return true
    }
}
