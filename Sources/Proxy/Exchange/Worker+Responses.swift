internal import Configuration
internal import Rules
internal import Wire

/// A response's way from a server's stream to the client's, and how exchanges end.
extension Worker {
    /// Something of the response arrived.
    @inline(always)
    func responseProgressed(_ attempt: Attempt) {
        attempt.response.flow.processed()
        if attempt.state == .abandoned { return }
        attempt.exchange.use { exchange in
            guard exchange.phase == .forwarding else {
                return attempt.response.discard(returning: workspace.segments)
            }
            if let fault = attempt.fault { return badResponse(exchange, attempt, fault) }
            if !attempt.interims.isEmpty { passInterims(exchange, attempt) }
            if !attempt.response.flow.hasStarted {
                guard attempt.response.flow.hasHeaders, settles(exchange, attempt) else { return }
            }
            passOn(exchange, attempt)
        }
    }

    /// The response is the client's.
    @inline(always)
    func passOn(_ exchange: Exchange, _ attempt: Attempt) {
        if exchange.isOwn { return collect(exchange, attempt) }
        let available = attempt.response.body.count
        switch attempt.response.flow.advance(available: available) {
        case .none: return
        case .resume:
            exchange.downstream.connection?.use {
                $0.session.resume(exchange.downstream.streamID)
                $0.markDirty(workspace)
            }
        case .submitHeaders: passHeaders(exchange, attempt, hasBody: true)
        case .submitHeadersOnly: passHeaders(exchange, attempt, hasBody: false)
        }
    }

    private func badResponse(_ exchange: Exchange, _ attempt: Attempt, _ fault: Attempt.Fault) {
        let limit: Limit
        switch fault {
        case .headerList: limit = .upstreamHeaderList
        case .trailers: limit = .upstreamTrailers
        case .interimResponses: limit = .upstreamInterimResponses
        case .message: return refuseMessage(exchange, attempt)
        }
        attempt.upstream.connection?.use { $0.tripped(limit, self) }
        let words = "the response is over \(limit.name)"
        giveUp(attempt, ProxyError(.badResponse, .upstream, words, limit: limit))
    }

    /// What came before the message is passed on, if headers were.
    private func refuseMessage(_ exchange: Exchange, _ attempt: Attempt) {
        attempt.upstream.connection?.use { $0.tripped(.responseMessage, self) }
        let words =
            "a message of \(attempt.gate.largest) bytes from the server, which is more than the "
            + "\(attempt.messageBytesMax) of the route's limit"
        giveUp(
            attempt, ProxyError(.messageTooLarge, .upstream, words, limit: .responseMessage))
    }

    /// 1xx responses mean nothing to gRPC (its HTTP/2 mapping lets clients skip them); others get
    /// them.
    private func passInterims(_ exchange: Exchange, _ attempt: Attempt) {
        exchange.downstream.connection?.use { connection in
            for headers in attempt.interims {
                connection.session.submitInterim(exchange.downstream.streamID, headers)
            }
            connection.markDirty(workspace)
        }
        attempt.interims.removeAll(keepingCapacity: true)
    }

    private func passHeaders(_ exchange: Exchange, _ attempt: Attempt, hasBody: Bool) {
        workspace.counters.responseBegan()
        editResponseHeaders(exchange, attempt)
        if exchange.addedFields.count > 0 { appendAddedFields(exchange, attempt) }
        submitResponse(exchange, hasBody: hasBody)
    }

    private func submitResponse(_ exchange: Exchange, hasBody: Bool) {
        exchange.account.answeredAt = workspace.now
        exchange.account.status = exchange.attempt.use { $0.status }
        exchange.downstream.connection?.use { connection in
            let streamID = exchange.downstream.streamID
            if !connection.session.submitResponse(streamID, exchange, hasBody: hasBody) {
                connection.session.reset(streamID, code: .internalError)
            }
            connection.markDirty(workspace)
        }
    }

    /// The response's headers fit no frame that a client would take.
    func responseNotSent(_ exchange: Exchange) {
        let words = "the response's headers are too large to pass on"
        let error = ProxyError(.badResponse, .upstream, words)
        exchange.note(error, workspace.blocks)
        guard exchange.phase == .forwarding else {
            return resetDownstream(exchange, .internalError)
        }
        abandonAttempts(exchange)
        answerLocally(exchange, error)
    }

    // MARK: Streams that closed

    /// The server's stream is closed, or its HEADERS were never sent.
    func upstreamClosed(_ attempt: Attempt, _ code: UInt32) {
        // HEADERS that were still queued when a GOAWAY came have never left: it is as if the
        // request had been placed elsewhere at first.
        let neverLeft =
            attempt.failedToSend
            && attempt.upstream.connection?.use { !$0.session.allowsRequests } == true
        guard let error = closed(attempt, code) else { return }
        if neverLeft { attempt.exchange.use { $0.account.attempts &-= 1 } }
        attemptFailed(attempt, error, neverLeft ? .neverSent : nil)
    }

    /// The server's connection ended under the attempt.
    func upstreamLost(_ attempt: Attempt, _ reason: StaticString) {
        var error = ProxyError(.upstreamLost, .upstream, "\(reason)")
        if attempt.state != .abandoned, !attempt.response.flow.isEnded { judge(attempt, error) }
        guard let end = closed(attempt, HTTP2Code.internalError.rawValue) else { return }
        // The connection has ended, and no stream of it: what counts is a GOAWAY before that.
        if end.reset.by == .upstream { error.reset = end.reset }
        attemptFailed(attempt, error)
    }

    /// Takes the attempt off its connection. Gives the error that the exchange is to be told, nil
    /// where the response is complete or nobody waits for it.
    private func closed(_ attempt: Attempt, _ code: UInt32) -> ProxyError? {
        guard let connection = attempt.upstream.connection else { return nil }
        let wasAbandoned = attempt.state == .abandoned
        let goAway = connection.use { $0.session.farewell.receivedCode }
        if wasAbandoned || attempt.response.flow.isEnded {
            judge(attempt)
        } else {
            judge(attempt, resetError(attempt, code, goAway: goAway))
        }
        attemptEnded(attempt)
        attempt.state = .closed
        connection.use {
            $0.detach(attempt, workspace)
            $0.endIfUnused(self)
        }
        attempt.pool?.use { pool in
            pool.requestEnded(attempt, workspace)
            if pool.waitingCount > 0 { pool.serveWaiting(self) }
        }
        return attempt.exchange.use { exchange in
            exchange.streams &-= 1
            if exchange.phase == .over {
                if exchange.streams == 0, !exchange.isHeld { workspace.give(exchange) }
                return nil
            }
            if wasAbandoned { return nil }
            guard attempt.response.flow.isEnded else {
                workspace.counters.add(.upstreamResets)
                return resetError(attempt, code, goAway: goAway)
            }
            workspace.borrowedSegments.use { exchange.request.discard(returning: $0) }
            refuseRest(exchange)
            return nil
        }
    }

    /// - goAway: the code of the server's GOAWAY; NO_ERROR where none came.
    private func resetError(_ attempt: Attempt, _ received: UInt32, goAway: UInt32) -> ProxyError {
        let code = HTTP2Code(received: received)
        var error: ProxyError
        if let fault = attempt.response.check.fault {
            let words = "the response is malformed: \(fault.words)"
            error = ProxyError(.upstreamReset, .upstream, words, code: code)
        } else if code == .refusedStream || attempt.failedToSend {
            error = ProxyError(.refused, .upstream, "the server refused the stream", code: code)
        } else {
            let words = "the server reset the stream with \(code.name)"
            error = ProxyError(.upstreamReset, .upstream, words, code: code)
        }
        if attempt.wasReset {
            error.reset = .init(frame: .resetStream, by: .upstream, code: received)
        } else if goAway != HTTP2Code.noError.rawValue {
            error.reset = .init(frame: .goAway, by: .upstream, code: goAway)
        } else if code != .refusedStream {
            // What the server sent broke the protocol: nghttp2 has reset the stream.
            error.reset = .init(frame: .resetStream, by: .weir, code: received)
        }
        return error
    }

    /// The response is complete: what the client still sends goes nowhere.
    private func refuseRest(_ exchange: Exchange) {
        guard !exchange.request.flow.isEnded else { return }
        exchange.resetsAfterResponse = true
        if exchange.isResponseSent { resetDownstream(exchange, .noError) }
    }

    /// The client's stream is closed, or its connection is.
    func downstreamClosed(_ exchange: Exchange, _ code: UInt32) {
        guard let connection = exchange.downstream.connection else { return }
        if code != HTTP2Code.noError.rawValue { workspace.counters.add(.clientResets) }
        if exchange.isWatching { unwatch(exchange) }
        if exchange.isToBeMirrored { mirrorMissed(exchange) }
        connection.use {
            closeAccount(exchange, on: $0)
            $0.detach(exchange, workspace)
        }
        exchange.phase = .over
        letRetryGo(exchange)
        cancelLimitCall(exchange)
        // While its route is there to judge by.
        if code == HTTP2Code.cancel.rawValue { judgeCancelled(exchange) }
        exchange.forEachAttempt { if $0.response.flow.isEnded { judge($0) } }
        exchange.letGenerationGo()
        exchange.attempt.use { attempt in
            let isComplete = exchange.request.flow.isEnded && attempt.response.flow.isEnded
            if isComplete, code == HTTP2Code.noError.rawValue, attempt.state == .streaming {
                return finishRequest(exchange)
            }
            abandonAttempts(exchange)
            workspace.timers.cancel(&exchange.timer)
            if exchange.streams == 0 { workspace.give(exchange) }
        }
    }

    /// Both sides of the client's stream have ended, the response first: a server that answers
    /// before it has read everything may still want the rest. For as long as it keeps taking it,
    /// or a while.
    private func finishRequest(_ exchange: Exchange) {
        guard exchange.timer.isScheduled else { return }
        workspace.timers.move(exchange.timer, to: workspace.now + Self.restNanoseconds)
    }

    private static var restNanoseconds: Int64 { 30_000_000_000 }

    // MARK: Ends that are not the server's

    /// Gives up what was begun and tells the caller why.
    func fail(_ exchange: Exchange, _ error: ProxyError) {
        exchange.forEachAttempt { judge($0, error) }
        abandonAttempts(exchange)
        answer(exchange, error)
    }

    /// Tells the caller what went wrong, in whatever way is left.
    func answer(_ exchange: Exchange, _ error: ProxyError) {
        if exchange.isOwn { return endOwn(exchange, error) }
        guard exchange.downstream.isOpen, exchange.phase != .over else { return }
        let isFinished = exchange.attempt.use { $0.response.flow.isFinished }
        if isFinished {
            exchange.request.discard(returning: workspace.segments)
            return refuseRest(exchange)
        }
        exchange.note(error, workspace.blocks)
        let hasStarted = exchange.attempt.use { $0.response.flow.hasStarted }
        if !hasStarted { return answerLocally(exchange, error) }
        // A caller that takes no bytes would not see trailers before them either.
        let isUnread = error.kind == .stalled && error.fault == .downstream
        if exchange.phase == .answering, !exchange.isWatching {
            return isUnread ? resetDownstream(exchange, .cancel) : hasten(exchange, error)
        }
        if exchange.isWatching { unwatch(exchange) }
        exchange.phase = .answering
        exchange.request.discard(returning: workspace.segments)
        guard exchange.isGRPC, !isUnread else {
            return resetDownstream(exchange, error.resetCode)
        }
        endWithTrailers(exchange, error)
    }

    /// gRPC, headers were sent: a status in trailers. What a server sent before it failed is still
    /// passed on; not so where the client does not take it, or the time is over.
    private func endWithTrailers(_ exchange: Exchange, _ error: ProxyError) {
        exchange.resetsAfterResponse = !exchange.request.flow.isEnded
        exchange.attempt.use { attempt in
            attempt.response.trailers = statusFields(error, attempt, into: HeaderBlock())
            let available = attempt.response.body.count
            let waitsForWindow = available > 0 && error.fault != .upstream
            // Without bytes before them trailers need no window; nghttp2 would not even ask for the
            // body's end while there is none.
            if waitsForWindow || available == 0 {
                return submitTrailers(exchange, attempt)
            }
            attempt.response.flow.replaceEnd()
            if attempt.response.flow.advance(available: available) == .resume {
                exchange.downstream.connection?.use {
                    $0.session.resume(exchange.downstream.streamID)
                    $0.markDirty(workspace)
                }
            }
        }
    }

    /// Instead of what is left of the body.
    private func submitTrailers(_ exchange: Exchange, _ attempt: Attempt) {
        attempt.response.discard(returning: workspace.segments)
        exchange.downstream.connection?.use {
            $0.session.submitTrailers(exchange.downstream.streamID, attempt.response.trailers)
            $0.markDirty(workspace)
        }
    }

    /// An answer was given before, and was not taken: by now the time for it is over. A body whose
    /// window does not come gives way to a status.
    private func hasten(_ exchange: Exchange, _ error: ProxyError) {
        exchange.attempt.use { attempt in
            guard exchange.isGRPC, attempt.response.body.count > 0 else {
                return resetDownstream(exchange, .cancel)
            }
            attempt.response.trailers = statusFields(error, attempt, into: HeaderBlock())
            submitTrailers(exchange, attempt)
        }
    }

    func resetDownstream(_ exchange: Exchange, _ code: HTTP2Code) {
        exchange.downstream.connection?.use {
            $0.session.reset(exchange.downstream.streamID, code: code)
            $0.markDirty(workspace)
        }
    }

    // MARK: Weir's own answers

    private func answerLocally(_ exchange: Exchange, _ error: ProxyError) {
        // 415 is told in HTTP's words: the caller does not speak gRPC.
        if exchange.isGRPC {
            submitOwn(exchange, hasBody: false) { attempt in
                var block = HeaderBlock()
                append(":status", "200", to: &block, attempt)
                append("content-type", "application/grpc", to: &block, attempt)
                block = statusFields(error, attempt, into: block)
                if let field = pushbackField(exchange) {
                    append(field.name, field.value, to: &block, attempt)
                }
                appendAddedFields(exchange, to: &block, attempt)
                return block
            }
        } else {
            let body = Array((error.detail + "\n").utf8)
            let text = Array("text/plain; charset=utf-8".utf8)
            let response = DirectResponse(
                status: error.httpStatus, contentType: text, body: body,
                grpcStatus: error.grpcStatus.rawValue, message: error.detail)
            respond(exchange, response, isRoutes: false)
        }
    }

    func respond(_ exchange: Exchange, _ response: DirectResponse) {
        exchange.account.end.success = .respond
        guard exchange.isGRPC else {
            return respond(exchange, response, isRoutes: true)
        }
        submitOwn(exchange, hasBody: false, isRoutes: true) { attempt in
            var block = HeaderBlock()
            append(":status", "200", to: &block, attempt)
            append("content-type", "application/grpc", to: &block, attempt)
            appendStatus(UInt32(response.grpcStatus), response.message, to: &block, attempt)
            return block
        }
    }

    /// In HTTP's words.
    private func respond(_ exchange: Exchange, _ response: DirectResponse, isRoutes: Bool) {
        let body = response.body
        let isHead = exchange.request.headers.value(at: exchange.head.method)?.equals("HEAD")
        let sendsBody = !body.isEmpty && isHead != true
        submitOwn(exchange, hasBody: sendsBody, isRoutes: isRoutes) { attempt in
            var block = HeaderBlock()
            append(":status", Array("\(response.status)".utf8), to: &block, attempt)
            if !body.isEmpty { append("content-type", response.contentType, to: &block, attempt) }
            append("content-length", Array("\(body.count)".utf8), to: &block, attempt)
            if exchange.account.end.reason == .unauthenticated {
                // RFC 9110, 11.6.1; RFC 6750, 3.
                append("www-authenticate", "Bearer", to: &block, attempt)
            }
            if let field = pushbackField(exchange) {
                append(field.name, field.value, to: &block, attempt)
            }
            appendAddedFields(exchange, to: &block, attempt)
            if sendsBody {
                attempt.response.body.append(body, from: workspace.segments)
            }
            return block
        }
    }

    /// A health check's answer, and its end unless it is a watch.
    func respondHealth(_ exchange: Exchange, _ status: HealthMessage.Status, ends: Bool) {
        exchange.account.end.success = .respond
        submitOwn(exchange, hasBody: true, isRoutes: true, ends: ends) { attempt in
            var block = HeaderBlock()
            append(":status", "200", to: &block, attempt)
            append("content-type", "application/grpc", to: &block, attempt)
            let message = HealthMessage.response(status)
            attempt.response.append(own: message, workspace.segments, now: workspace.now)
            if ends { appendStatus(0, "", to: &attempt.response.trailers, attempt) }
            return block
        }
    }

    /// Another message to a watch.
    func tell(_ status: HealthMessage.Status, _ exchange: Exchange) {
        exchange.attempt.use { attempt in
            let message = HealthMessage.response(status)
            attempt.response.append(own: message, workspace.segments, now: workspace.now)
        }
        resumeResponse(exchange)
    }

    /// What was told still reaches the client, and then that the process ends.
    func endWatch(_ exchange: Exchange) {
        unwatch(exchange)
        exchange.attempt.use { attempt in
            let words = "this process ends"
            appendStatus(
                UInt32(GRPCStatus.unavailable.rawValue), words, to: &attempt.response.trailers,
                attempt)
            attempt.response.flow.trailersReceived()
        }
        resumeResponse(exchange)
    }

    private func resumeResponse(_ exchange: Exchange) {
        let action = exchange.attempt.use { attempt in
            attempt.response.flow.advance(available: attempt.response.body.count)
        }
        guard action == .resume else { return }
        exchange.downstream.connection?.use {
            $0.session.resume(exchange.downstream.streamID)
            $0.markDirty(workspace)
        }
    }

    func respond(_ exchange: Exchange, _ redirect: Redirect) {
        exchange.account.end.success = .redirect
        let location = redirect.location(of: exchange)
        submitOwn(exchange, hasBody: false, isRoutes: true) { attempt in
            var block = HeaderBlock()
            append(":status", Array("\(redirect.status)".utf8), to: &block, attempt)
            append("location", location, to: &block, attempt)
            append("content-length", "0", to: &block, attempt)
            return block
        }
    }

    /// Submits a response that `fill` makes; the exchange's attempt carries it. `isRoutes`: its
    /// route is what answers, so that the route's edits apply. Without `ends` more follows.
    private func submitOwn(
        _ exchange: Exchange, hasBody: Bool, isRoutes: Bool = false, ends: Bool = true,
        _ fill: (Attempt) -> HeaderBlock
    ) {
        guard exchange.downstream.isOpen else { return }
        workspace.counters.add(.localAnswers)
        exchange.phase = .answering
        exchange.request.discard(returning: workspace.segments)
        exchange.resetsAfterResponse = !exchange.request.flow.isEnded
        exchange.attempt.use { attempt in
            attempt.response.reset(returning: workspace.segments)
            var headers = fill(attempt)
            attempt.answers(headers)
            appendRequestID(exchange, to: &headers, attempt)
            attempt.outgoingHeaders = isRoutes ? edited(headers, exchange, attempt) : headers
            attempt.response.flow.headersReceived()
            if attempt.response.trailers.count > 0 {
                attempt.response.flow.trailersReceived()
            } else if ends {
                attempt.response.flow.endReceived()
            }
            _ = attempt.response.flow.advance(available: attempt.response.body.count)
        }
        submitResponse(exchange, hasBody: hasBody)
    }

    /// Who gets an answer of Weir's own can say which log line it is about.
    private func appendRequestID(
        _ exchange: Exchange, to block: inout HeaderBlock, _ attempt: Attempt
    ) {
        let policy = exchange.downstream.connection?.use {
            $0.listener.terms.intake.requestID
        }
        guard let policy, policy != .pass,
            let id = exchange.request.headers.value(at: exchange.head.requestID)
        else { return }
        _ = block.append(
            ByteView(RequestID.name), id, isIndexed: false, in: &attempt.arena,
            from: workspace.blocks)
    }

    private func statusFields(
        _ error: ProxyError, _ attempt: Attempt, into block: HeaderBlock
    ) -> HeaderBlock {
        var block = block
        appendStatus(UInt32(error.grpcStatus.rawValue), error.detail, to: &block, attempt)
        return block
    }

    private func appendStatus(
        _ status: UInt32, _ message: String, to block: inout HeaderBlock, _ attempt: Attempt
    ) {
        attempt.grpcStatus = status
        append("grpc-status", Array("\(status)".utf8), to: &block, attempt)
        if message.isEmpty { return }
        var encoded: [UInt8] = []
        PercentCoding.encode(Array(message.utf8).span, into: &encoded)
        append("grpc-message", encoded, to: &block, attempt)
    }

    private func append(
        _ name: StaticString, _ value: StaticString, to block: inout HeaderBlock, _ attempt: Attempt
    ) {
        _ = block.append(
            ByteView(name), ByteView(value), in: &attempt.arena, from: workspace.blocks)
    }

    private func append(
        _ name: StaticString, _ value: [UInt8], to block: inout HeaderBlock, _ attempt: Attempt
    ) {
        guard let kept = attempt.arena.keep(value.span, from: workspace.blocks) else { return }
        _ = block.append(ByteView(name), kept, in: &attempt.arena, from: workspace.blocks)
    }
}
