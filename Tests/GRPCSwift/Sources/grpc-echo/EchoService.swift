import GRPCCore

/// The terms of protos/echo.proto, on grpc-swift-2. Says `cancelled METHOD` for a call that was.
struct EchoService: Weir_Echo_V1_Echo.ServiceProtocol {
    typealias Request = Weir_Echo_V1_EchoRequest
    typealias Response = Weir_Echo_V1_EchoResponse
    typealias Terms = Weir_Echo_V1_EchoTerms

    func unary(
        request: ServerRequest<Request>, context: ServerContext
    ) async throws -> ServerResponse<Response> {
        let terms = request.message.terms
        try await begin(terms, context)
        try fail(terms)
        let (metadata, trailing) = echoed(request.metadata, terms)
        return ServerResponse(
            message: answer(request.message, terms, index: 0), metadata: metadata,
            trailingMetadata: trailing)
    }

    func clientStream(
        request: StreamingServerRequest<Request>, context: ServerContext
    ) async throws -> ServerResponse<Response> {
        var joined = Request()
        var count = 0
        for try await message in request.messages {
            if count == 0 {
                joined.terms = message.terms
                try await begin(joined.terms, context)
            }
            count += 1
            joined.payload += message.payload
            if count == Int(joined.terms.endsAfter) { break }
        }
        try fail(joined.terms)
        let (metadata, trailing) = echoed(request.metadata, joined.terms)
        return ServerResponse(
            message: answer(joined, joined.terms, index: count), metadata: metadata,
            trailingMetadata: trailing)
    }

    func serverStream(
        request: ServerRequest<Request>, context: ServerContext
    ) async throws -> StreamingServerResponse<Response> {
        let terms = request.message.terms
        try await begin(terms, context)
        let (metadata, trailing) = echoed(request.metadata, terms)
        return StreamingServerResponse(metadata: metadata) { writer in
            for index in 0..<Int(terms.responseCount) {
                try await writer.write(answer(request.message, terms, index: index))
            }
            try fail(terms)
            return trailing
        }
    }

    func bidi(
        request: StreamingServerRequest<Request>, context: ServerContext
    ) async throws -> StreamingServerResponse<Response> {
        StreamingServerResponse { writer in
            try await withRPCCancellationHandler {
                var terms = Terms()
                var count = 0
                for try await message in request.messages {
                    if count == 0 {
                        terms = message.terms
                        try await begin(terms, context)
                    }
                    try await writer.write(answer(message, terms, index: count))
                    count += 1
                    if count == Int(terms.endsAfter) { break }
                }
                try fail(terms)
                return [:]
            } onCancelRPC: {
                print("cancelled \(context.descriptor.method)")
            }
        }
    }

    private func begin(_ terms: Terms, _ context: ServerContext) async throws {
        if terms.delayMs > 0 {
            let gate = Gate()
            gate.open(afterMilliseconds: Int(terms.delayMs))
            await withRPCCancellationHandler {
                await gate.passed()
            } onCancelRPC: {
                print("cancelled \(context.descriptor.method)")
                gate.open()
            }
        }
        if terms.failsAtOnce { try fail(terms) }
    }

    private func fail(_ terms: Terms) throws {
        guard terms.statusCode > 0 else { return }
        guard let code = Status.Code(rawValue: Int(terms.statusCode)).flatMap(RPCError.Code.init)
        else { return }
        throw RPCError(code: code, message: terms.statusMessage)
    }

    private func answer(_ request: Request, _ terms: Terms, index: Int) -> Response {
        var response = Response()
        response.index = UInt32(clamping: index)
        response.payload = request.payload
        if terms.responseBytes > 0 {
            response.payload.removeAll()
            response.payload.append(
                contentsOf: repeatElement(0xa5, count: Int(terms.responseBytes)))
        }
        return response
    }

    /// The request's metadata named `x-...`, and the same as `trailing-x-...`.
    private func echoed(_ metadata: Metadata, _ terms: Terms) -> (Metadata, Metadata) {
        guard terms.echoesMetadata else { return ([:], [:]) }
        let sent = metadata.filter { $0.key.hasPrefix("x-") }
        return (Metadata(sent), Metadata(sent.map { ("trailing-" + $0.key, $0.value) }))
    }
}
