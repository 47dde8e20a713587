internal import Peers

/// A call of the echo service, and what must come back.
struct EchoExpectation {
    let method: CallClient.Method
    let requests: [EchoRequest]
    let answers: [EchoResponse]

    /// A call in that shape; a stream has five messages. Each carries `text` and its number.
    init(_ method: CallClient.Method, text: String) {
        self.method = method
        let isStream = method == .clientStream || method == .bidi
        let payloads = (0..<(isStream ? 5 : 1)).map { Array("\(text), message \($0)".utf8) }
        var terms = EchoTerms()
        terms.responseCount = 5
        requests = payloads.map { EchoRequest(payload: $0, terms: terms) }
        let echoes =
            switch method {
            case .unary, .bidi: payloads
            case .clientStream: [payloads.flatMap { $0 }]
            case .serverStream: Array(repeating: payloads[0], count: 5)
            }
        answers = echoes.enumerated().map { EchoResponse(payload: $1, index: UInt32($0)) }
    }

    /// What is wrong with what came of the call; nil where nothing is.
    func problem(in record: CallRecord) -> String? {
        if let problem = record.problem(status: 0) { return problem }
        guard let echoes = record.echoes else { return "the answer is no EchoResponse" }
        if echoes.count != answers.count {
            return "\(echoes.count) answers came, not \(answers.count)"
        }
        return echoes == answers ? nil : "an answer differs from what was sent"
    }
}

extension CallRecord {
    /// The backend that answered.
    var server: String? { headers.first("x-served-by") }

    /// What is wrong with a call that the proxy itself should have ended with this status.
    func ownProblem(status: Int) -> String? {
        problem(status: status) ?? server.map { "\($0) answered, not the proxy" }
    }

    /// What is wrong with a gRPC call that should have ended with this status; nil: nothing.
    func problem(status: Int) -> String? {
        switch end {
        case nil: return "it has not ended"
        case .reset(let code): return "it was reset with code \(code)"
        case .lost(let reason): return reason
        case .complete: break
        }
        guard let grpcStatus else { return "it ended without grpc-status, :status \(self.status)" }
        guard grpcStatus == status else {
            return "grpc-status is \(grpcStatus) (\(grpcMessage ?? "")), not \(status)"
        }
        return nil
    }
}
