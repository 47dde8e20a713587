internal import Peers

/// The calls that the demo makes, and what is said of them. Belongs to one thread.
struct Show {
    private static let connections = 4
    /// How long a change of the configuration may take to be seen.
    private static let patience = Duration.seconds(10)

    let stage: Stage
    let log: DemoLog
    let narrator: Narrator
    private let caller: EchoCaller

    /// Nil where the proxy cannot be reached.
    init?(_ stage: Stage, _ log: DemoLog, _ narrator: Narrator) {
        guard let caller = EchoCaller(port: stage.port, authority: "demo.example") else {
            return nil
        }
        self.stage = stage
        self.log = log
        self.narrator = narrator
        self.caller = caller
    }

    func run() throws(Narrator.Interruption) {
        try makeEachShape()
        try makeLargeCall()
        try makeFailingCall()
        try makeLateCall()
        try makeCallWithoutRoute()
        try makePlainRequest()
        try changeRoute()
    }

    // MARK: Single calls

    private func makeEachShape() throws(Narrator.Interruption) {
        for method in CallClient.Method.allCases {
            let expected = EchoExpectation(method, text: "hello")
            let start = ContinuousClock.now
            let record =
                method == .bidi ? converse(expected) : caller.call(method, expected.requests)
            let time = words(for: start.duration(to: .now))
            let (sent, got) = (expected.requests.count, expected.answers.count)
            let counts = "\(count(sent, "message")) sent, \(count(got, "answer"))"
            let order = method == .bidi ? ", one by one" : ""
            try narrator.fact(
                "\(method.rawValue): \(counts) from \(stage.first.name)\(order), in \(time)",
                problem: expected.problem(in: record) ?? problem(in: record, from: stage.first))
        }
    }

    /// Awaits the answer to each message before the next is sent.
    private func converse(_ expected: EchoExpectation) -> CallRecord {
        let stream = caller.begin(.bidi)
        for (index, request) in expected.requests.enumerated() {
            let record = caller.send(stream, request, awaiting: index + 1)
            if record.end != nil { return record }
        }
        return caller.finish(stream)
    }

    private func makeLargeCall() throws(Narrator.Interruption) {
        let payload = [UInt8](repeating: 0x77, count: 1 << 20)
        let record = caller.call(.unary, [EchoRequest(payload: payload)])
        let isSame = record.echoes == [EchoResponse(payload: payload, index: 0)]
        try narrator.fact(
            "1 MiB went there and came back unchanged",
            problem: record.problem(status: 0) ?? (isSame ? nil : "what came back differs"))
    }

    private func makeFailingCall() throws(Narrator.Interruption) {
        var terms = EchoTerms()
        terms.statusCode = 8
        terms.statusMessage = "no room"
        let record = caller.call(.unary, [EchoRequest(payload: [1], terms: terms)])
        let isSame = record.trailers.first("grpc-message") == terms.statusMessage
        try narrator.fact(
            "a backend's own error passes as it is: RESOURCE_EXHAUSTED, 'no room'",
            problem: record.problem(status: 8)
                ?? problem(in: record, from: stage.first)
                ?? (isSame ? nil : "the message is '\(record.grpcMessage ?? "")'"))
    }

    private func makeLateCall() throws(Narrator.Interruption) {
        var terms = EchoTerms()
        terms.delayMilliseconds = 5_000
        let start = ContinuousClock.now
        let record = caller.call(
            .unary, [EchoRequest(payload: [1], terms: terms)],
            metadata: [HeaderField("grpc-timeout", "100m")])
        let time = start.duration(to: .now)
        let isInTime = (.milliseconds(100)..<(.seconds(2))) ~= time
        try narrator.fact(
            "a deadline of 100 ms and a backend that takes 5 s: DEADLINE_EXCEEDED from the proxy"
                + " after \(words(for: time))",
            problem: record.problem(status: 4) ?? ownAnswerProblem(in: record)
                ?? (isInTime ? nil : "that is not when the deadline passed"))
    }

    private func makeCallWithoutRoute() throws(Narrator.Interruption) {
        let before = stage.backendCalls
        let fields = [
            HeaderField("te", "trailers"), HeaderField("content-type", "application/grpc"),
        ]
        let path = "/demo.Unknown/Call"
        let record = caller.request(
            "POST", path, fields: fields, body: MessageFraming.frame([]))
        let asked = stage.backendCalls - before
        try narrator.fact(
            "demo.Unknown/Call, which has no route: UNIMPLEMENTED, and no backend was asked",
            problem: record.problem(status: 12) ?? ownAnswerProblem(in: record)
                ?? (asked == 0 ? nil : "\(asked) requests reached a backend"))
    }

    private func makePlainRequest() throws(Narrator.Interruption) {
        let body = Array("hello".utf8)
        let record = caller.request("POST", "/plain/hello", body: body)
        let isEcho = record.end == .complete && record.status == 200 && record.body == body
        try narrator.fact(
            "plain HTTP/2, POST /plain/hello: 200, the body came back, and trailers after it",
            problem: isEcho && record.trailers.first("x-bytes") == "5"
                ? nil : "status \(record.status), \(record.body.count) bytes")
    }

    // MARK: Changing the configuration

    private func changeRoute() throws(Narrator.Interruption) {
        let traffic = Traffic(port: stage.port, connections: Self.connections)
        traffic.start()
        defer { traffic.stop() }
        try keepCalling { traffic.hasArrived(at: stage.first.name) }
        guard let talker = EchoCaller(port: stage.port, authority: "demo.example") else {
            return try narrator.fact("a stream is open", problem: "no connection to the proxy")
        }
        let stream = talker.begin(.bidi)
        let hello = EchoRequest(payload: Array("before the change".utf8))
        _ = talker.send(stream, hello, awaiting: 1)

        try moveRoute(under: traffic)
        let goodbye = EchoRequest(payload: Array("after the change".utf8))
        _ = talker.send(stream, goodbye, awaiting: 2)
        let record = talker.finish(stream)
        let count = record.echoes?.count ?? 0
        try narrator.fact(
            "a stream that was open meanwhile went on with \(stage.first.name) to its end",
            problem: record.problem(status: 0) ?? problem(in: record, from: stage.first)
                ?? (count == 2 ? nil : "\(count) answers, not 2"))
        try misspell(under: traffic)
        try report(traffic)
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

    private func report(_ traffic: Traffic) throws(Narrator.Interruption) {
        traffic.stop()
        try keepCalling { traffic.hasEnded }
        let (first, second) = (stage.first.name, stage.second.name)
        let counts = (traffic.calls(of: first), traffic.calls(of: second))
        let returned = traffic.tallies.contains { $0.moves > 1 }
        try narrator.fact(
            "\(counts.0 + counts.1) calls of all shapes during these changes, \(counts.0) answered"
                + " by \(first), then \(counts.1) by \(second): none failed",
            problem: traffic.problem ?? (returned ? "some went back to \(first)" : nil))
    }

    /// Makes calls until something holds; false where it does not come to hold.
    @discardableResult
    private func keepCalling(
        until holds: () -> Bool
    ) throws(Narrator.Interruption) -> Bool {
        let end = ContinuousClock.now + Self.patience
        while !holds() {
            guard ContinuousClock.now < end else { return false }
            let expected = EchoExpectation(.unary, text: "meanwhile")
            if let problem = expected.problem(in: caller.call(.unary, expected.requests)) {
                try narrator.fact("a call during the change", problem: problem)
                return false
            }
        }
        return true
    }

    // MARK: Words

    private func problem(in record: CallRecord, from server: EchoServer) -> String? {
        record.server == server.name ? nil : "\(record.server ?? "no backend") answered"
    }

    private func ownAnswerProblem(in record: CallRecord) -> String? {
        record.server.map { "\($0) answered, not the proxy" }
    }

    private func count(_ number: Int, _ noun: String) -> String {
        "\(number) \(noun)" + (number == 1 ? "" : "s")
    }

    private func words(for time: Duration) -> String {
        let microseconds =
            time.components.seconds * 1_000_000
            + time.components.attoseconds / 1_000_000_000_000
        let tenths = (microseconds + 50) / 100
        return tenths < 100 ? "\(tenths / 10).\(tenths % 10) ms" : "\((tenths + 5) / 10) ms"
    }
}
