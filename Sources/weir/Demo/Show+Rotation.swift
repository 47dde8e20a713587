internal import Identity
internal import Peers

/// Certificates and roots that are replaced while calls run.
extension Show {
    func renewCertificate(under traffic: Traffic) throws(Narrator.Interruption) {
        guard let talk = OpenTalk(stage) else {
            return try narrator.fact("a stream is open", problem: "no connection to the proxy")
        }
        let start = ContinuousClock.now
        let problem = fault { () throws(CommandFailure) in try stage.mesh.renew([.weir]) }
        let isShown = try keepCalling { showsNewestCertificate }
        let time = words(for: start.duration(to: .now))
        let record = talk.end()
        try narrator.fact(
            "the proxy's certificate was renewed: new connections see it \(time) later, and open"
                + " ones and a stream went on",
            problem: problem ?? (isShown ? nil : "new connections see another")
                ?? talk.problem(in: record) ?? reconnections(traffic, 1))
    }

    /// Three steps, each of which leaves everybody able to talk to everybody.
    func rotateRoot(under traffic: Traffic) throws(Narrator.Interruption) {
        guard let talk = OpenTalk(stage) else {
            return try narrator.fact("a stream is open", problem: "no connection to the proxy")
        }
        let old = stage.mesh.terms(of: .web)
        try believeBothRoots(under: traffic)
        try renewEverybody(under: traffic)
        try retireRoot(under: traffic, talk, old)
    }

    private func believeBothRoots(under traffic: Traffic) throws(Narrator.Interruption) {
        let seen = log.count
        let problem = fault { () throws(CommandFailure) in try stage.mesh.rotateRoot() }
        stage.tellBackends()
        let isLoaded = try keepCalling { hasReloaded(since: seen) }
        try narrator.fact(
            "the authority has a second root, and everybody believes both",
            problem: problem ?? (isLoaded ? nil : "the proxy did not take it over")
                ?? reconnections(traffic, 1))
    }

    private func renewEverybody(under traffic: Traffic) throws(Narrator.Interruption) {
        let problem = fault { () throws(CommandFailure) in
            try stage.mesh.renew(Mesh.Member.allCases)
        }
        stage.tellBackends()
        let isShown = try keepCalling { showsNewestCertificate }
        let isUsed = try keepCalling { traffic.hasConnected(times: 2) }
        try narrator.fact(
            "everybody has a certificate of the second root: \(Self.connections) connections were"
                + " made anew with it",
            problem: problem ?? (isShown ? nil : "the proxy shows another")
                ?? (isUsed ? nil : "not all were"))
    }

    private func retireRoot(
        under traffic: Traffic, _ talk: OpenTalk, _ old: PeerTLS.Terms
    ) throws(Narrator.Interruption) {
        let problem = fault { () throws(CommandFailure) in try stage.mesh.retireRoot() }
        stage.tellBackends()
        var old = old
        old.authorities = stage.mesh.terms(of: .web).authorities
        let isRefused = try keepCalling { refuses(old) }
        // Between the proxy and the backends, too: by the second root on both sides.
        let isRenewed = try keepCalling {
            stage.second.client?.serial == stage.mesh.serialNumber(of: .weir)
        }
        try narrator.fact(
            "the first root is gone: a client with its certificate is turned away, and the proxy"
                + " calls \(stage.second.name) with its own of the second",
            problem: problem ?? (isRefused ? nil : "it is let in")
                ?? (isRenewed ? nil : "it calls with another") ?? reconnections(traffic, 2))
        let isAskedToGo = talk.caller.waitForGoAway()
        let record = talk.end()
        try narrator.fact(
            "a connection that a certificate of the first root had opened was asked to go, and its"
                + " stream went on to its end",
            problem: talk.problem(in: record) ?? (isAskedToGo ? nil : "it was not asked"))
    }

    // MARK: Looking

    /// Whether a new connection is shown the certificate that the proxy's file has.
    private var showsNewestCertificate: Bool {
        let caller = stage.connect(stage.mesh.terms(of: .web))
        return caller?.server?.serial == stage.mesh.serialNumber(of: .weir)
    }

    private func hasReloaded(since count: Int) -> Bool {
        log.lines(since: count).contains { $0.contains("reloaded revision") }
    }

    private func fault(in work: () throws(CommandFailure) -> Void) -> String? {
        do throws(CommandFailure) {
            try work()
            return nil
        } catch {
            return "\(error.place): \(error.words)"
        }
    }
}
