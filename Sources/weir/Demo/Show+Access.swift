internal import Identity
internal import Peers

/// Who is let in, and who may call.
extension Show {
    /// Who has proven what to whom.
    func meet() throws(Narrator.Interruption) {
        try replaceServer()
        var nobody = stage.mesh.terms(of: .web)
        nobody.certificate = nil
        try turnAway("a client without a certificate", nobody)
        if let impostor = stage.mesh.namesake(of: .web) {
            try turnAway("\(Mesh.Member.web.id) by another authority", impostor)
        } else {
            try narrator.fact("there is another authority", problem: "it cannot be made")
        }
        let record = web.call(.unary, [EchoRequest(payload: [1])])
        let seen = stage.first.client?.name ?? "nobody"
        let proxy = Mesh.Member.weir.id
        try narrator.fact(
            "web is let in: TLS with \(proxy), which calls \(stage.first.name) over TLS"
                + " as the same",
            problem: record.problem(status: 0) ?? problem(in: record, from: stage.first)
                ?? (seen == proxy ? nil : "\(stage.first.name) was called by \(seen)"))
        try tellServer()
    }

    /// Somebody else of the mesh in the first backend's place.
    private func replaceServer() throws(Narrator.Interruption) {
        let start = log.count
        let before = stage.backendCalls
        stage.first.speakTLS(stage.mesh.terms(of: .stranger))
        let record = web.call(.unary, [EchoRequest(payload: [1])])
        let problem = record.ownProblem(status: 14) ?? backendProblem(since: before)
        stage.tellBackends()
        // The proxy waits a moment before it tries the address again.
        let end = ContinuousClock.now + Self.patience
        var isBack = false
        while !isBack, ContinuousClock.now < end {
            isBack = web.call(.unary, [EchoRequest(payload: [1])]).problem(status: 0) == nil
        }
        try narrator.fact(
            "stranger in the place of \(stage.first.name) gets no call: UNAVAILABLE",
            problem: problem ?? (isBack ? nil : "\(stage.first.name) gets none afterwards"))
        let line = log.lines(since: start).first { $0.contains("connect failed") }
        if let reason = line?.split(separator: "reason=").last { narrator.say("        \(reason)") }
    }

    /// What a backend gets to know of the caller is the proxy's word alone.
    private func tellServer() throws(Narrator.Interruption) {
        var terms = EchoTerms()
        terms.echoesMetadata = true
        let name = "x-forwarded-client-cert"
        let lie = HeaderField(name, "URI=\(Mesh.Member.backendB.id)")
        let record = web.call(
            .unary, [EchoRequest(payload: [1], terms: terms)], metadata: [lie])
        let told = record.headers.filter { $0.name == name }.map(\.value)
        let isRight = told.count == 1 && told[0].hasSuffix(";URI=\(Mesh.Member.web.id)")
        try narrator.fact(
            "\(stage.first.name) is told that web calls, whatever web itself says of that",
            problem: record.problem(status: 0)
                ?? (isRight ? nil : "it was told '\(told.joined(separator: ", "))'"))
    }

    private func turnAway(
        _ client: String, _ terms: PeerTLS.Terms
    ) throws(Narrator.Interruption) {
        let start = log.count
        let before = stage.backendCalls
        let isRefused = refuses(terms)
        let asked = stage.backendCalls - before
        let failure = "tls handshake failed"
        try keepCalling { log.lines(since: start).contains { $0.contains(failure) } }
        let line = log.lines(since: start).first { $0.contains(failure) }
        let problem: String? =
            if !isRefused {
                "it was not"
            } else if asked > 0 {
                "\(asked) requests reached a backend"
            } else {
                line == nil ? "the proxy's log does not say so" : nil
            }
        try narrator.fact("\(client) is turned away", problem: problem)
        if let reason = line?.split(separator: "reason=").last { narrator.say("        \(reason)") }
    }

    /// Whether the proxy has no answer at all for a client.
    func refuses(_ terms: PeerTLS.Terms) -> Bool {
        guard let caller = stage.connect(terms) else { return true }
        return caller.call(.unary, [EchoRequest(payload: [1])]).isUnanswered
    }

    /// `stranger` is of the same mesh, and no rule lets it in.
    func denyEachShape() throws(Narrator.Interruption) {
        for method in CallClient.Method.allCases {
            let before = stage.backendCalls
            let record = stranger.call(method, EchoExpectation(method, text: "hello").requests)
            let token = method == .bidi ? ", with web's token" : ""
            try narrator.fact(
                "\(method.rawValue) by stranger\(token): PERMISSION_DENIED, and no backend was"
                    + " asked",
                problem: record.ownProblem(status: 7) ?? backendProblem(since: before))
        }
    }

    func denyPlainRequest() throws(Narrator.Interruption) {
        let before = stage.backendCalls
        let record = stranger.request("POST", "/plain/hello", body: Array("hello".utf8))
        try narrator.fact(
            "POST /plain/hello by stranger: 403, and no backend was asked",
            problem: record.status == 403 ? backendProblem(since: before) : "\(record.status)")
    }

    /// Bidi is for tokens that say so.
    func showTokens() throws(Narrator.Interruption) {
        try showToken("without a token", nil, 16, "UNAUTHENTICATED")
        let forged = stage.desk.token(isForged: true)
        try showToken("with a forged token", forged, 16, "UNAUTHENTICATED")
        let narrow = stage.desk.token(scope: "echo.listen")
        try showToken("with a token for something else", narrow, 7, "PERMISSION_DENIED")
        let record = web.call(
            .bidi, [EchoRequest(payload: [1])], metadata: stage.authorization(stage.token))
        try narrator.fact(
            "Bidi by web with a token for \(TokenDesk.scope): OK",
            problem: record.problem(status: 0) ?? problem(in: record, from: stage.first))
    }

    private func showToken(
        _ words: String, _ token: String?, _ status: Int, _ name: String
    ) throws(Narrator.Interruption) {
        let before = stage.backendCalls
        let record = web.call(
            .bidi, [EchoRequest(payload: [1])],
            metadata: token.map { stage.authorization($0) } ?? [])
        try narrator.fact(
            "Bidi by web \(words): \(name), and no backend was asked",
            problem: record.ownProblem(status: status) ?? backendProblem(since: before))
    }

    private func backendProblem(since before: Int) -> String? {
        let asked = stage.backendCalls - before
        return asked == 0 ? nil : "\(asked) requests reached a backend"
    }
}
