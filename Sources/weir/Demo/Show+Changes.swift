internal import Peers

/// What changes while calls run.
extension Show {
    /// A shape that `web` may not call for a while.
    private static let withheld = CallClient.Method.serverStream

    func change() throws(Narrator.Interruption) {
        let traffic = Traffic(on: stage, connections: Self.connections)
        traffic.start()
        defer { traffic.stop() }
        try keepCalling { traffic.hasArrived(at: stage.first.name) }
        try changeRoute(under: traffic)
        try misspell(under: traffic)
        try changeRule(under: traffic)
        try renewCertificate(under: traffic)
        try rotateRoot(under: traffic)
        try report(traffic)
    }

    private func changeRoute(under traffic: Traffic) throws(Narrator.Interruption) {
        guard let talk = OpenTalk(stage) else {
            return try narrator.fact("a stream is open", problem: "no connection to the proxy")
        }
        try moveRoute(under: traffic)
        let record = talk.end()
        try narrator.fact(
            "a stream that was open meanwhile went on with \(stage.first.name) to its end",
            problem: talk.problem(in: record) ?? problem(in: record, from: stage.first))
    }

    private func moveRoute(under traffic: Traffic) throws(Narrator.Interruption) {
        let start = ContinuousClock.now
        let isInstalled = stage.install(stage.configuration(leadingTo: stage.second))
        let hasArrived = try keepCalling { traffic.hasArrived(at: stage.second.name) }
        let time = words(for: start.duration(to: .now))
        let problem =
            isInstalled
            ? (hasArrived ? nil : "calls still go to \(stage.first.name)")
            : "the file cannot be replaced"
        try narrator.fact(
            "route echo moved to \(stage.second.name) while \(Self.connections) connections call:"
                + " all were there \(time) after the file was replaced",
            problem: problem)
    }

    private func misspell(under traffic: Traffic) throws(Narrator.Interruption) {
        let start = log.count
        let isInstalled = stage.install(stage.misspeltConfiguration)
        let wasRefused = try keepCalling {
            log.lines(since: start).contains { $0.contains("reload refused") }
        }
        try narrator.fact(
            "a configuration with a misspelt key was refused, and the last good one stayed",
            problem: isInstalled && wasRefused ? nil : "it was not refused")
        if let line = log.lines(since: start).first(where: { $0.hasPrefix("error: ") }) {
            narrator.say("        \(line.dropFirst("error: ".count))")
        }
        _ = stage.install(stage.configuration(leadingTo: stage.second))
    }

    private func changeRule(under traffic: Traffic) throws(Narrator.Interruption) {
        traffic.expectDenials(of: Self.withheld)
        let start = ContinuousClock.now
        let isTaken = stage.install(
            stage.configuration(leadingTo: stage.second, withholding: Self.withheld))
        let isDenied = try keepCalling { traffic.isEverywhere(denied: true) }
        let time = words(for: start.duration(to: .now))
        let isGiven = stage.install(stage.configuration(leadingTo: stage.second))
        let isAllowed = try keepCalling { traffic.isEverywhere(denied: false) }
        traffic.expectDenials(of: nil)
        let problem: String? =
            if !isTaken || !isGiven {
                "the file cannot be replaced"
            } else if !isDenied {
                "calls are still let in"
            } else {
                isAllowed ? nil : "calls are still denied"
            }
        try narrator.fact(
            "rule calls lost \(Self.withheld.rawValue): \(time) later web's were PERMISSION_DENIED"
                + " on all open connections; it got it back, and they were OK",
            problem: problem ?? reconnections(traffic, 1))
    }

    private func report(_ traffic: Traffic) throws(Narrator.Interruption) {
        traffic.stop()
        try keepCalling { traffic.hasEnded }
        let (first, second) = (stage.first.name, stage.second.name)
        let counts = (traffic.calls(of: first), traffic.calls(of: second))
        let denials = traffic.tallies.reduce(0) { $0 + $1.denials }
        let returned = traffic.tallies.contains { $0.moves > 1 }
        try narrator.fact(
            "\(counts.0 + counts.1) calls of all shapes during these changes, \(counts.0) answered"
                + " by \(first), then \(counts.1) by \(second), and \(denials) denied by the rule:"
                + " none failed",
            problem: traffic.problem ?? (returned ? "some went back to \(first)" : nil))
    }

    /// What is wrong where not all of the traffic is on its connection of that number.
    func reconnections(_ traffic: Traffic, _ count: Int) -> String? {
        traffic.hasConnected(times: count) ? nil : "a connection was made anew"
    }
}

/// A Bidi call on a connection of its own, open while something changes.
struct OpenTalk {
    let caller: EchoCaller
    private let stream: Int32

    /// Has its first answer; nil where there is no connection.
    init?(_ stage: Stage) {
        guard let caller = stage.connect(stage.mesh.terms(of: .web)) else { return nil }
        self.caller = caller
        stream = caller.begin(.bidi, metadata: stage.authorization(for: .bidi))
        let hello = EchoRequest(payload: Array("before the change".utf8))
        _ = caller.send(stream, hello, awaiting: 1)
    }

    func end() -> CallRecord {
        let goodbye = EchoRequest(payload: Array("after the change".utf8))
        _ = caller.send(stream, goodbye, awaiting: 2)
        return caller.finish(stream)
    }

    func problem(in record: CallRecord) -> String? {
        let count = record.echoes?.count ?? 0
        return record.problem(status: 0) ?? (count == 2 ? nil : "\(count) answers, not 2")
    }
}
