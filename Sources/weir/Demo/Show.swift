internal import Peers

/// The calls that the demo makes, and what is said of them. Belongs to one thread.
struct Show {
    static let connections = 4
    /// How long a change of the configuration may take to be seen.
    static let patience = Duration.seconds(10)

    let stage: Stage
    let log: DemoLog
    let narrator: Narrator
    let web: MeshClient
    let stranger: MeshClient

    init(_ stage: Stage, _ log: DemoLog, _ narrator: Narrator) {
        self.stage = stage
        self.log = log
        self.narrator = narrator
        web = MeshClient(.web, stage)
        stranger = MeshClient(.stranger, stage)
    }

    func run() throws(Narrator.Interruption) {
        try meet()
        try makeEachShape()
        try denyEachShape()
        try showTokens()
        try makeLargeCall()
        try makeFailingCall()
        try makeLateCall()
        try makeCallAgain()
        try makeCallWithoutRoute()
        try makePlainRequest()
        try denyPlainRequest()
        try change()
    }

    // MARK: Single calls

    private func makeEachShape() throws(Narrator.Interruption) {
        for method in CallClient.Method.allCases {
            let expected = EchoExpectation(method, text: "hello")
            let start = ContinuousClock.now
            let record =
                method == .bidi ? converse(expected) : web.call(method, expected.requests)
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
        guard let caller = web.caller() else { return .unconnected }
        let stream = caller.begin(.bidi, metadata: stage.authorization(for: .bidi))
        for (index, request) in expected.requests.enumerated() {
            let record = caller.send(stream, request, awaiting: index + 1)
            if record.end != nil { return record }
        }
        return caller.finish(stream)
    }

    private func makeLargeCall() throws(Narrator.Interruption) {
        let payload = [UInt8](repeating: 0x77, count: 1 << 20)
        let record = web.call(.unary, [EchoRequest(payload: payload)])
        let isSame = record.echoes == [EchoResponse(payload: payload, index: 0)]
        try narrator.fact(
            "1 MiB went there and came back unchanged",
            problem: record.problem(status: 0) ?? (isSame ? nil : "what came back differs"))
    }

    private func makeFailingCall() throws(Narrator.Interruption) {
        var terms = EchoTerms()
        terms.statusCode = 8
        terms.statusMessage = "no room"
        let record = web.call(.unary, [EchoRequest(payload: [1], terms: terms)])
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
        let record = web.call(
            .unary, [EchoRequest(payload: [1], terms: terms)],
            metadata: [HeaderField("grpc-timeout", "100m")])
        let time = start.duration(to: .now)
        let isInTime = (.milliseconds(100)..<(.seconds(2))) ~= time
        try narrator.fact(
            "a deadline of 100 ms and a backend that takes 5 s: DEADLINE_EXCEEDED from the proxy"
                + " after \(words(for: time))",
            problem: record.ownProblem(status: 4)
                ?? (isInTime ? nil : "that is not when the deadline passed"))
    }

    /// The route goes to both backends in turn: one of two calls comes to the one that fails.
    private func makeCallAgain() throws(Narrator.Interruption) {
        let (before, refused) = (stage.backendCalls, stage.first.refusals)
        stage.first.fail(next: 1)
        let expected = EchoExpectation(.unary, text: "again")
        var record = CallRecord.unconnected
        var calls = 0
        repeat {
            record = web.call(.unary, expected.requests, metadata: Stage.asksAgain)
            calls += 1
        } while record.problem(status: 0) == nil && stage.first.refusals == refused && calls < 10
        let asked = stage.backendCalls - before
        let wasAgain = stage.first.refusals == refused + 1 && asked == calls + 1
        try narrator.fact(
            "\(stage.first.name) said UNAVAILABLE to a call: the proxy tried again with"
                + " \(stage.second.name), and the caller got its answer",
            problem: expected.problem(in: record) ?? problem(in: record, from: stage.second)
                ?? (wasAgain ? nil : "\(asked) requests reached a backend for \(calls) calls"))
        stage.first.fail(next: 0)
    }

    private func makeCallWithoutRoute() throws(Narrator.Interruption) {
        let before = stage.backendCalls
        let fields = [
            HeaderField("te", "trailers"), HeaderField("content-type", "application/grpc"),
        ]
        let path = "/demo.Unknown/Call"
        let record = web.request(
            "POST", path, fields: fields, body: MessageFraming.frame([]))
        let asked = stage.backendCalls - before
        try narrator.fact(
            "demo.Unknown/Call, which has no route: UNIMPLEMENTED, and no backend was asked",
            problem: record.ownProblem(status: 12)
                ?? (asked == 0 ? nil : "\(asked) requests reached a backend"))
    }

    private func makePlainRequest() throws(Narrator.Interruption) {
        let body = Array("hello".utf8)
        let record = web.request("POST", "/plain/hello", body: body)
        let isEcho = record.end == .complete && record.status == 200 && record.body == body
        try narrator.fact(
            "plain HTTP/2, POST /plain/hello: 200, the body came back, and trailers after it",
            problem: isEcho && record.trailers.first("x-bytes") == "5"
                ? nil : "status \(record.status), \(record.body.count) bytes")
    }

    /// Makes calls until something holds; false where it does not come to hold.
    @discardableResult
    func keepCalling(
        until holds: () -> Bool
    ) throws(Narrator.Interruption) -> Bool {
        let end = ContinuousClock.now + Self.patience
        while !holds() {
            guard ContinuousClock.now < end else { return false }
            let expected = EchoExpectation(.unary, text: "meanwhile")
            if let problem = expected.problem(in: web.call(.unary, expected.requests)) {
                try narrator.fact("a call during the change", problem: problem)
                return false
            }
        }
        return true
    }

    // MARK: Words

    func problem(in record: CallRecord, from server: EchoServer) -> String? {
        record.server == server.name ? nil : "\(record.server ?? "no backend") answered"
    }

    func count(_ number: Int, _ noun: String) -> String {
        "\(number) \(noun)" + (number == 1 ? "" : "s")
    }

    func words(for time: Duration) -> String {
        let microseconds =
            time.components.seconds * 1_000_000
            + time.components.attoseconds / 1_000_000_000_000
        let tenths = (microseconds + 50) / 100
        return tenths < 100 ? "\(tenths / 10).\(tenths % 10) ms" : "\((tenths + 5) / 10) ms"
    }
}
