internal import Configuration
internal import Rules
internal import Wire

/// What copies say that they are.
enum MirrorField {
    static var name: StaticString { "x-weir-mirrored" }
}

/// Copies of requests for another upstream, whose answers nobody sees (docs/mirroring.md).
///
/// A copy is made once the request is whole and still kept from its beginning, and is a call of
/// Weir's own from then on: it shares neither bytes nor time with the caller's, and nothing of what
/// becomes of it comes back.
extension Worker {
    /// The request goes its own way first. Only what is under way to a server then has a copy.
    func sendMirrored(_ exchange: Exchange, to upstream: Int, _ mirror: MirrorTerms) {
        let isChosen = mirror.isChosen(draw: workspace.system.random()) && !isCopy(exchange)
        send(exchange, to: upstream)
        guard isChosen, exchange.isForwarded else { return }
        exchange.isToBeMirrored = true
        mirrorIfWhole(exchange)
    }

    /// It says that it is one, or has been here before: copies of copies would have no end.
    private func isCopy(_ exchange: Exchange) -> Bool {
        if exchange.head.isMirrored { return true }
        return exchange.head.via >= 0 && workspace.hop.use { $0.isIn(exchange.request.headers) }
    }

    /// Called again whenever more of the request came.
    func mirrorIfWhole(_ exchange: Exchange) {
        let isKept =
            exchange.keepsRequest && !exchange.request.flow.isDiscarding
            && exchange.request.body.total <= exchange.keptBytesMax
        guard isKept else { return mirrorMissed(exchange) }
        guard exchange.request.flow.isEnded else { return }
        exchange.isToBeMirrored = false
        mirrorPool(exchange)?.use { mirror(exchange, to: $0) }
    }

    /// There will be no copy: the request is not kept any more, and was not whole.
    func mirrorMissed(_ exchange: Exchange) {
        exchange.isToBeMirrored = false
        mirrorPool(exchange)?.use { $0.mirrored.add(.notKept) }
    }

    private func mirrorPool(_ exchange: Exchange) -> Borrowed<UpstreamPool>? {
        guard let mirror = exchange.route?.use({ $0.mirror }) else { return nil }
        return exchange.generation?.use { $0.borrowedPools[mirror.upstream] }
    }

    private func mirror(_ exchange: Exchange, to pool: UpstreamPool) {
        // What servers of gRPC alone would get 415 for is not theirs to see.
        if pool.terms.isGRPCOnly, !exchange.isGRPC { return pool.mirrored.add(.failed) }
        guard overload.stage == .none else { return pool.mirrored.add(.noRoom) }
        let place = pool.mirrored.place(
            bytes: exchange.request.body.count, copiesMax: pool.terms.limits.mirrored,
            bytesMax: MirrorTerms.bodyBytesMax)
        guard let place else {
            exceeded(.upstreamMirrored, "upstream=\(pool.name)")
            return pool.mirrored.add(.noRoom)
        }
        let own = OwnCall(.mirror(place), .limited(bytesMax: MirrorTerms.answerBytesMax))
        let end = MirrorTerms.end(of: exchange.deadline, now: workspace.now)
        call(own, pool, until: end) { copy in
            hold(exchange.generation, by: copy)
            if pool.isByHash {
                copy.affinity = affinity(
                    of: exchange, by: pool.terms.balance.hash, tokens.deciding)
            }
            return fill(copy, from: exchange)
        }
    }

    /// The pool must outlive the copy, which may last longer than the request that it is of.
    private func hold(_ generation: Borrowed<Generation>?, by copy: Exchange) {
        generation?.use { $0.users += 1 }
        copy.generation = generation
    }

    /// What a server gets, with its own bytes.
    private func fill(_ copy: Exchange, from exchange: Exchange) -> Bool {
        copy.head.isGRPC = exchange.isGRPC
        guard let headers = copy.attempt.use({ requestHeaders(exchange, $0) }),
            fillHeaders(copy, headers, without: replacedField(exchange, copy))
        else { return false }
        let trailers = exchange.request.trailers
        for index in 0..<trailers.count {
            let isTaken = copy.request.trailers.append(
                copyOf: trailers, at: index, in: &copy.arena, from: workspace.blocks)
            guard isTaken else { return false }
        }
        copy.request.flow.headersReceived()
        copy.request.append(copyOf: exchange.request, workspace.segments, now: workspace.now)
        if exchange.request.flow.endsWithoutTrailers {
            copy.request.flow.endReceived()
        } else {
            copy.request.flow.trailersReceived()
        }
        return true
    }

    /// A token that the first upstream never sees, as it gets Weir's own instead, is not for
    /// another one either.
    private func replacedField(_ exchange: Exchange, _ copy: Exchange) -> StaticString {
        func attaches(_ exchange: Exchange) -> Bool {
            exchange.attempt.use { $0.pool?.use { $0.attachesToken } ?? false }
        }
        return attaches(exchange) && !attaches(copy) ? "authorization" : ""
    }

    private func fillHeaders(
        _ copy: Exchange, _ headers: HeaderBlock, without dropped: StaticString
    ) -> Bool {
        let blocks = workspace.blocks
        for index in 0..<headers.count where !headers.name(index).equals(dropped) {
            let token = headers.name(index).use(HeaderToken.of)
            copy.head.noted(token, at: copy.request.headers.count)
            let isTaken = copy.request.headers.append(
                copyOf: headers, at: index, in: &copy.arena, from: blocks)
            guard isTaken else { return false }
        }
        // Whatever the listener does about loops: that a copy was here is known when it comes back.
        let hop = workspace.hop.use { $0.isIn(copy.request.headers) ? nil : $0.value }
        if let hop {
            let isTaken = copy.request.headers.append(
                ByteView("via"), hop, in: &copy.arena, from: blocks)
            guard isTaken else { return false }
        }
        return copy.request.headers.append(
            ByteView(MirrorField.name), ByteView("1"), in: &copy.arena, from: blocks)
    }
}
