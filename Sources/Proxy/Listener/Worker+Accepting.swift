internal import Configuration
internal import Rules
internal import Wire

/// How connections of clients come to a worker.
extension Worker {
    /// - locally: keeps them all, where other workers may have stopped already.
    func accept(on listener: Listener, locally: Bool = false) {
        guard let socket = listener.socket else { return }
        for _ in 0..<Self.acceptsPerTurn {
            switch workspace.system.accept(socket.descriptor) {
            case .nothingYet: return
            case .exhausted: return pauseAccepting()
            case .connection(let descriptor, let peer):
                let target = locally ? loads.take(index) : loads.leastLoaded(preferring: index)
                if target == index {
                    adopt(descriptor, peer, listener)
                } else {
                    let message = Mailbox.Message.adopt(
                        descriptor: descriptor, peer: peer, socket: socket)
                    if !loads.post(message, to: target) { workspace.system.close(descriptor) }
                }
            }
        }
    }

    /// The process is out of descriptors: a listener that stays ready would make the loop spin.
    func pauseAccepting() {
        workspace.counters.add(.acceptExhausted)
        if acceptsPaused { return }
        acceptsPaused = true
        for listener in listeners { workspace.system.unwatch(listener.tag.descriptor) }
        let at = workspace.now + Self.acceptRestNanoseconds
        acceptTimer = workspace.timers.schedule(.accepting, at: at)
        guard workspace.now >= exhaustedQuietUntil else { return }
        exhaustedQuietUntil = workspace.now + Self.quietNanoseconds
        workspace.log.write(.error, "out of descriptors: accepting rests, for 100 ms at a time")
    }

    func resumeAccepting() {
        guard acceptsPaused else { return }
        guard overload.stage < .connections else {
            let at = workspace.now + Self.acceptRestNanoseconds
            acceptTimer = workspace.timers.schedule(.accepting, at: at)
            return
        }
        acceptsPaused = false
        for listener in listeners { workspace.system.watchListener(listener.tag) }
    }

    func adopt(_ descriptor: Int32, _ peer: SocketAddress, _ listener: Listener) {
        if let rule = listener.terms.intake.proxyProtocol, !rule.admits(IPAddress(peer)) {
            refuseSender(peer, listener)
            workspace.system.close(descriptor)
            return loads.ended(index)
        }
        guard listener.connections.value < listener.terms.limits.connections else {
            exceeded(.connections, "listener=\(listener.terms.name)")
            workspace.system.close(descriptor)
            return loads.ended(index)
        }
        guard
            listener.tls == nil
                || listener.connections.handshakes < listener.terms.limits.handshakes
        else {
            exceeded(.handshakes, "listener=\(listener.terms.name)")
            workspace.system.close(descriptor)
            return loads.ended(index)
        }
        let tag = newTag(descriptor)
        guard let connection = DownstreamConnection(tag, peer, listener, workspace) else {
            workspace.system.close(descriptor)
            return loads.ended(index)
        }
        workspace.counters.add(.connectionsAccepted)
        listener.connections.began()
        table[Int(descriptor)].connection = connection
        connectionCount += 1
        workspace.system.watch(tag)
        if isDraining {
            connection.beginDrain(spread: 0, limit: drainLimit, self)
        } else if listener.socket == nil {
            connection.beginDrain(spread: 0, limit: listener.terms.timeouts.drain, self)
        }
    }

    /// A client speaks another protocol than HTTP/2.
    func refused(_ event: Counters.Event, on connection: DownstreamConnection) {
        workspace.counters.add(event)
        let words =
            event == .tlsClients
            ? "a TLS handshake on a cleartext listener, which was closed"
            : "a client speaks HTTP/1, and was answered with 505"
        warnRarely("\(words) \(connection.describe())")
    }

    /// Somebody connects who may not say who a client is, where nobody else is served.
    private func refuseSender(_ peer: SocketAddress, _ listener: Listener) {
        workspace.counters.add(.proxySendersRefused)
        warnRarely("PROXY sender refused listener=\(listener.terms.name) peer=\(peer)")
    }

    /// What comes first on a connection is not the header that is asked for.
    func refusedAnnouncement(of connection: DownstreamConnection, _ reason: String) {
        workspace.counters.add(.proxyHeadersRefused)
        warnRarely("PROXY header refused \(connection.describe()) reason=\"\(reason)\"")
    }

    /// What clients may cause as often as they like: logged at most once a second.
    func warnRarely(_ words: @autoclosure () -> String) {
        guard workspace.now >= warningQuietUntil else { return }
        warningQuietUntil = workspace.now + Self.quietNanoseconds
        workspace.log.write(.warning, words())
    }
}
