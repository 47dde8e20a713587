internal import Configuration
internal import Rules
internal import Wire

/// How a worker takes a new configuration, and how it stops: what was removed drains, what stayed
/// goes on untouched.
extension Worker {
    func install(_ installation: Installation) {
        workspace.counters.add(.installations)
        let snapshot = installation.snapshot
        var known = Dictionary(pools.map { ($0.name, $0) }) { first, _ in first }
        let updated = snapshot.upstreams.indices.map { index in
            let terms = snapshot.upstreams[index]
            let tls = installation.clientTLS[index]
            guard let pool = known.removeValue(forKey: terms.name) else {
                return UpstreamPool(terms, tls, installation.counts[index], workspace)
            }
            pool.update(terms, tls, self)
            return pool
        }
        // In their own order, not the dictionary's: a simulated run must be the same every time.
        let removed = pools.filter { known[$0.name] != nil }
        for pool in removed where !pool.isRetired { pool.retire(self) }
        pools = updated + removed
        for pool in updated {
            pool.attach(attachedTokens)
            pool.take(discovered, self)
        }
        hasRetiredPools = pools.contains { $0.isRetired }
        setLagLimit(snapshot.overload.lag)
        if let generation { oldGenerations.append(generation) }
        installLimiters(installation)
        let next = Generation(snapshot, updated, limiters)
        adoptKeys(next, after: generation)
        generation = next
        syncChecks()
        hasStaleSeries = true
        installListeners(installation, next)
    }

    func attach(_ tokens: AttachedTokens) {
        attachedTokens = tokens
        for pool in pools { pool.attach(tokens) }
    }

    func installListeners(_ installation: Installation, _ generation: Generation) {
        closedListeners = []
        var serving: [Listener] = []
        for (index, terms) in installation.snapshot.listeners.enumerated() {
            let socket = installation.sockets[index]
            let tls = installation.serverTLS[index]
            if let listener = listeners.first(where: { $0.socket === socket }) {
                listener.update(terms, tls, generation)
                serving.append(listener)
            } else {
                serving.append(open(socket, terms, tls, generation))
            }
        }
        for listener in listeners where !serving.contains(where: { $0 === listener }) {
            retire(listener)
        }
        listeners = serving
        adoptEarly()
        beginJudging()
    }

    /// Clients that were believed under terms that have changed are judged by the new ones, a few
    /// each turn: a chain takes a tenth of a millisecond.
    private func beginJudging() {
        toJudge = table.compactMap { slot in
            guard let connection = slot.connection as? DownstreamConnection,
                connection.isToBeJudgedAgain
            else { return nil }
            return connection.tag
        }
    }

    func judgeSome() {
        for _ in 0..<Self.judgementsPerTurn {
            guard let tag = toJudge.popLast() else { return }
            let slot = table[Int(tag.descriptor)]
            guard slot.generation == tag.generation,
                let connection = slot.connection as? DownstreamConnection
            else { continue }
            connection.judgeAgain(self)
        }
    }

    func adoptEarly() {
        for (descriptor, peer, socket) in early {
            if let listener = listeners.first(where: { $0.connections === socket.connections }) {
                adopt(descriptor, peer, listener)
            } else {
                workspace.system.close(descriptor)
                loads.ended(index)
            }
        }
        early = []
    }

    func open(
        _ socket: ListeningSocket, _ terms: ListenerTerms, _ tls: ServerTLS?,
        _ generation: Generation
    ) -> Listener {
        let tag = newTag(socket.descriptor)
        let listener = Listener(socket, tag, terms, tls, generation)
        table[Int(socket.descriptor)].listener = listener
        if !isDraining, !acceptsPaused { workspace.system.watchListener(tag) }
        return listener
    }

    /// Stops accepting; its connections are asked to go.
    func retire(_ listener: Listener) {
        close(listener)
        for slot in table {
            guard let connection = slot.connection as? DownstreamConnection,
                connection.listener === listener
            else { continue }
            let limit = listener.terms.timeouts.drain
            connection.beginDrain(spread: limit / 10, limit: limit, self)
        }
    }

    func close(_ listener: Listener) {
        // What the kernel has accepted already would be reset with the socket.
        if !acceptsPaused {
            accept(on: listener, locally: true)
            workspace.system.unwatch(listener.tag.descriptor)
        }
        let index = Int(listener.tag.descriptor)
        table[index].listener = nil
        table[index].generation &+= 1
        listener.stopListening()
        closedListeners.append(listener)
    }

    func drain(spread: Int64, limit: Int64) {
        if isDraining { return }
        isDraining = true
        drainLimit = limit
        if limit > 0 { drainEndsAt = workspace.now + limit }
        for listener in listeners { close(listener) }
        listeners = []
        endWatches()
        for slot in table {
            guard let connection = slot.connection as? DownstreamConnection else { continue }
            connection.beginDrain(spread: spread, limit: limit, self)
        }
    }
}
