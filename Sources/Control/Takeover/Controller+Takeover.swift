internal import Configuration
internal import Logging
internal import Proxy
internal import Wire

/// Both sides of an upgrade that drops no call: how a process takes over the listening sockets of
/// another one, and how it lets a successor have its own.
///
/// A listening socket has one queue of connections, whoever has a descriptor of it. So nothing that
/// waits there is lost while two processes accept from it, nor when the old one closes its own.
extension Controller {
    // MARK: The successor

    /// Asks for the sockets. The configuration is known to be right by then.
    func beginTakeover(_ path: String, _ snapshot: Snapshot) throws(StartError) {
        do throws(TakeoverFailure) {
            let path = try path.isEmpty ? Self.ownAdmin(snapshot) : path
            let (predecessor, sockets) = try Predecessor.ask(at: path)
            inherited.add(sockets)
            takeover = Takeover(predecessor, now: Waiting.now())
            predecessorWatch = ProcessWatch(predecessor.facts.processID)
            let old = predecessor.facts
            let (process, count) = (old.processID, sockets.count)
            logger.notice(
                "taking over from pid=\(process) version=\(old.version) sockets=\(count)")
        } catch {
            throw .takeover(error)
        }
    }

    private static func ownAdmin(_ snapshot: Snapshot) throws(TakeoverFailure) -> String {
        if case .unix(let path)? = snapshot.telemetry.admin { return path }
        throw .refused(
            "--takeover needs the path of a socket: the configuration has no "
                + "'admin: {address: unix:...}'")
    }

    /// Lets the workers accept, as soon as calls are served without waiting for anything.
    func proceedWithTakeover() {
        // Without anybody who accepts, nothing is gained by waiting.
        if takeover != nil, predecessorWatch?.hasEnded == true { takeover?.isSettled = true }
        guard !isDraining, takeover?.begins(at: Waiting.now()) == true, let held else { return }
        self.held = nil
        release(held)
    }

    /// All workers accept: the predecessor may go.
    func finishTakeover() {
        guard let takeover, !takeover.isPreparing, !isDraining else { return }
        self.takeover = nil
        let old = takeover.predecessor.facts
        switch takeover.predecessor.tellReady(predecessorWatch) {
        case .goes: logger.notice("took over from pid=\(old.processID), which drains")
        case .isGone(let words):
            logger.warning("took over from pid=\(old.processID), which was going: \(words)")
        case .isSilent(let words):
            logger.error("took over, but pid=\(old.processID) does not go: \(words)")
        case .hasSuccessor(let words):
            takeoverFailure = .refused("another process was faster: \(words)")
            return terminate()
        }
        if let snapshot { openPorts(snapshot) }
        for address in inherited.releaseHanded() {
            logger.notice("socket \(address) was taken over for nothing: nobody listens there now")
        }
        let isInSight = predecessorWatch != nil
        state.change {
            $0.predecessor = .init(
                processID: old.processID, version: old.version, isRunning: isInSight ? true : nil)
        }
        reportServing()
    }

    func lookAtPredecessor() {
        guard takeover == nil, predecessorWatch?.hasEnded == true else { return }
        predecessorWatch = nil
        state.change { $0.predecessor?.isRunning = false }
        logger.notice("predecessor has ended")
    }

    // MARK: The predecessor

    /// Starts the program that is there now, to take over from this process: within its service,
    /// where it has one, and with the same arguments.
    func upgrade() {
        guard !isDraining, takeover == nil else {
            return logger.warning("no upgrade: it is not serving")
        }
        guard successor == nil else { return logger.warning("no upgrade: there is one under way") }
        guard let program = options.program, case .unix(let path)? = snapshot?.telemetry.admin
        else {
            return logger.error("no upgrade: it needs 'admin: {address: unix:...}'")
        }
        var arguments = ["run", "--config", options.path, "--log-level", "\(state.level.value)"]
        if options.workers > 0 { arguments += ["--workers", "\(options.workers)"] }
        successor = SuccessorProcess(
            program: program, arguments: arguments + ["--takeover", path],
            environment: SupervisorTerms.handedOn(options.environment))
        guard let successor else { return logger.error("no upgrade: \(program) cannot be started") }
        logger.notice("upgrading pid=\(successor.processID) program=\(program)")
    }

    func lookAtSuccessor() {
        guard let successor, let end = successor.end() else { return }
        self.successor = nil
        logger.error("successor pid=\(successor.processID) ended with \(end)")
    }

    func answerSuccessors() {
        for asked in state.succession.take() { asked.answer.give(answer(asked)) }
    }

    private func answer(_ asked: Succession.Asked) -> HTTPResponse {
        guard !isDraining else { return HTTPResponse(410, "it is draining\n") }
        switch asked.question {
        case .sockets: return handOver(to: asked.processID)
        case .isReady(let meant):
            guard meant == instance else {
                return HTTPResponse(409, "the sockets that it has are of another process\n")
            }
            terminate(successor: asked.processID)
            var response = HTTPResponse(202, "draining\n")
            response.sent = farewell
            return response
        }
    }

    private func handOver(to processID: Int32) -> HTTPResponse {
        let supervised = inherited.supervised
        let kept = Set(supervised.map(\.address))
        let own = (resources.listening + ports.sockets).filter { !kept.contains($0.address) }
        let sockets = supervised.map(\.socket) + own.map(\.socket)
        guard sockets.count <= HandOver.socketsMax else {
            return HTTPResponse(
                500, "more than \(HandOver.socketsMax) sockets are not handed over\n")
        }
        let message = HandOver(
            instance: instance, processID: ProcessWatch.ownID, version: Product.version,
            sockets: supervised.map { .init(address: $0.address, supervisedName: $0.name) }
                + own.map { .init(address: $0.address) })
        logger.notice("sockets=\(sockets.count) handed to pid=\(processID), which gets ready")
        var response = HTTPResponse(json: message.text)
        response.sockets = sockets
        return response
    }
}
