import GRPCCore
import GRPCNIOTransportHTTP2Posix

/// What a client on grpc-swift-2 expects of a server of protos/echo.proto, by name.
struct Checks {
    typealias Request = Weir_Echo_V1_EchoRequest

    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    let echo: Weir_Echo_V1_Echo.Client<HTTP2ClientTransport.Posix>

    static let all: [String: @Sendable (Checks) async throws -> Void] = [
        "unary": { try await $0.unary() },
        "client_stream": { try await $0.clientStream() },
        "server_stream": { try await $0.serverStream() },
        "bidi_in_turns": { try await $0.bidiInTurns() },
        "metadata": { try await $0.metadata() },
        "status": { try await $0.status() },
        "deadline": { try await $0.deadline() },
        "cancel": { try await $0.cancel() },
        "large_messages": { try await $0.largeMessages() },
        "compression": { try await $0.compression() },
        "many_at_once": { try await $0.manyAtOnce() },
    ]

    private func unary() async throws {
        let answer = try await echo.unary(request(bytes: 3), options: options())
        try expect(answer.payload.count == 3, "\(answer.payload.count) bytes")
    }

    private func clientStream() async throws {
        let answer = try await echo.clientStream(options: options()) { writer in
            for count in 1...20 { try await writer.write(request(bytes: count * 1000)) }
        }
        try expect(answer.payload.count == 210_000, "\(answer.payload.count) bytes")
        try expect(answer.index == 20, "\(answer.index) messages")
    }

    private func serverStream() async throws {
        var asked = request(bytes: 1000)
        asked.terms.responseCount = 100
        let sizes = try await echo.serverStream(asked, options: options()) { response in
            try await response.messages.reduce(into: []) { $0.append($1.payload.count) }
        }
        try expect(sizes == Array(repeating: 1000, count: 100), "\(sizes)")
    }

    /// An answer comes before the next request goes.
    private func bidiInTurns() async throws {
        let (turns, turn) = AsyncStream.makeStream(of: Int.self)
        turn.yield(0)
        let indices = try await echo.bidi(options: options()) { writer in
            for await number in turns {
                try await writer.write(request(bytes: 10))
                if number == 19 { break }
            }
        } onResponse: { response in
            var indices: [Int] = []
            for try await message in response.messages {
                indices.append(Int(message.index))
                turn.yield(indices.count)
            }
            return indices
        }
        try expect(indices == Array(0..<20), "\(indices)")
    }

    private func metadata() async throws {
        let bytes = Array(UInt8.min...UInt8.max)
        let sent: Metadata = [
            "x-text": "a b,c", "x-text": "second", "x-bytes-bin": .binary(bytes),
        ]
        var asked = request(bytes: 1)
        asked.terms.echoesMetadata = true
        let (initial, trailing) = try await echo.unary(
            asked, metadata: sent, options: options()
        ) { response in (response.metadata, response.trailingMetadata) }
        try expect(Array(initial["x-text"]) == ["a b,c", "second"], "\(initial)")
        try expect(Array(initial[binaryValues: "x-bytes-bin"]) == [bytes], "\(initial)")
        try expect(Array(trailing["trailing-x-text"]) == ["a b,c", "second"], "\(trailing)")
        try expect(
            Array(trailing[binaryValues: "trailing-x-bytes-bin"]) == [bytes], "\(trailing)")
    }

    private func status() async throws {
        for isAtOnce in [true, false] {
            var asked = request(bytes: 1)
            asked.terms.statusCode = 9
            asked.terms.statusMessage = "was it 100 % ü世 ?"
            asked.terms.failsAtOnce = isAtOnce
            asked.terms.responseCount = 1
            let sent = asked
            let error = try await failure {
                try await echo.serverStream(sent, options: options()) { response in
                    for try await _ in response.messages {}
                }
            }
            try expect(error.code == .failedPrecondition, "\(error)")
            try expect(error.message == asked.terms.statusMessage, error.message)
        }
    }

    private func deadline() async throws {
        var asked = request(bytes: 1)
        asked.terms.delayMs = 60_000
        var short = options()
        short.timeout = .milliseconds(500)
        let (sent, terms) = (asked, short)
        let error = try await failure { _ = try await echo.unary(sent, options: terms) }
        try expect(error.code == .deadlineExceeded, "\(error)")
    }

    /// After the first answer, with the request open and the response, too.
    private func cancel() async throws {
        let (answered, end) = (Gate(), Gate())
        let call = Task {
            try await echo.bidi(options: options()) { writer in
                try await writer.write(request(bytes: 10))
                await end.passed()
            } onResponse: { response in
                for try await _ in response.messages { answered.open() }
            }
        }
        await answered.passed()
        call.cancel()
        if case .success = await call.result { throw Failure(description: "it ended well") }
        try await unary()
    }

    private func largeMessages() async throws {
        let answer = try await echo.unary(request(bytes: 4 << 20), options: options())
        try expect(answer.payload.count == 4 << 20, "\(answer.payload.count) bytes")
    }

    private func compression() async throws {
        for algorithm in [CompressionAlgorithm.gzip, .deflate] {
            var compressed = options()
            compressed.compression = algorithm
            let answer = try await echo.unary(request(bytes: 1 << 20), options: compressed)
            try expect(answer.payload.count == 1 << 20, "\(answer.payload.count) bytes")
        }
    }

    private func manyAtOnce() async throws {
        try await withThrowingTaskGroup(of: Int.self) { group in
            for count in 1...90 {
                group.addTask {
                    try await echo.unary(request(bytes: count), options: options()).payload.count
                }
            }
            let sum = try await group.reduce(0, +)
            try expect(sum == 90 * 91 / 2, "\(sum) bytes")
        }
    }

    private func request(bytes: Int) -> Request {
        var request = Request()
        request.payload.append(contentsOf: repeatElement(0x61, count: bytes))
        return request
    }

    private func options() -> CallOptions {
        var options = CallOptions.defaults
        options.timeout = .seconds(60)
        options.maxRequestMessageBytes = 64 << 20
        options.maxResponseMessageBytes = 64 << 20
        return options
    }

    private func failure(of call: () async throws -> Void) async throws -> RPCError {
        do {
            try await call()
        } catch let error as RPCError {
            return error
        }
        throw Failure(description: "it ended well")
    }

    private func expect(_ holds: Bool, _ words: String) throws {
        if !holds { throw Failure(description: words) }
    }
}
