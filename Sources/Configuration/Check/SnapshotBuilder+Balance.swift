internal import Rules
internal import Wire

/// Endpoints, and how requests are spread over them.
extension SnapshotBuilder {
    /// An address, or a mapping that says more of it.
    func readEndpoint(_ node: NodeID) -> EndpointTerms? {
        guard checker.tree.kind(node) == .mapping else {
            return readEndpointAddress(node).map { EndpointTerms($0) }
        }
        guard let fields = checker.fields(node, EndpointKey.self) else { return nil }
        let address = fields[.address].flatMap(readEndpointAddress)
        var weight: Int64? = 1
        if let value = fields[.weight] {
            weight = checker.count(value, "a weight", 1...Int64(EndpointTerms.weightMax))
        }
        let zone = fields[.zone].flatMap { checker.name($0, "a zone") }
        guard let address, let weight else { return nil }
        return EndpointTerms(address, weight: UInt32(weight), zone: zone)
    }

    /// An algorithm, or a mapping that says more.
    func readBalance(_ node: NodeID) -> BalanceTerms {
        var terms = BalanceTerms()
        guard checker.tree.kind(node) == .mapping else {
            readAlgorithm(node, &terms)
            return terms
        }
        guard let fields = checker.fields(node, BalanceKey.self) else { return terms }
        if let value = fields[.algorithm] { readAlgorithm(value, &terms) }
        readLatency(fields, &terms)
        if let value = fields[.panic] { readPanic(value, &terms) }
        return terms
    }

    private func readAlgorithm(_ node: NodeID, _ terms: inout BalanceTerms) {
        let position = checker.choice(node, "the balance", BalanceKey.names)
        if let position { terms.algorithm = BalanceTerms.Algorithm.allCases[position] }
    }

    private func readLatency(_ fields: Fields<BalanceKey>, _ terms: inout BalanceTerms) {
        let keys: [(BalanceKey, WritableKeyPath<LatencyTerms, Int64>)] = [
            (.decay, \.decay), (.initialLatency, \.initial), (.failurePenalty, \.penalty),
        ]
        for (key, path) in keys {
            guard let value = fields[key] else { continue }
            requireAlgorithm(.peakEWMA, terms, of: value, key)
            let time = checker.duration(value, key.term.key, offAllowed: false)
            if let time { terms.latency[keyPath: path] = time }
        }
    }

    /// What another algorithm would not look at is an error.
    private func requireAlgorithm(
        _ algorithm: BalanceTerms.Algorithm, _ terms: BalanceTerms, of node: NodeID,
        _ key: BalanceKey
    ) {
        guard terms.algorithm != algorithm else { return }
        checker.fail(
            .conflict, node,
            "\(key.term.key) means nothing to \(terms.algorithm.rawValue)",
            expected: "algorithm: \(algorithm.rawValue), or no \(key.term.key)")
    }

    private func readPanic(_ node: NodeID, _ terms: inout BalanceTerms) {
        if checker.tree.kind(node) == .scalar, checker.tree.bytes(node).elementsEqual("off".utf8) {
            terms.panicShare = 0
        } else if let share = checker.percent(node, "panic") {
            // Of 2^32, rounded down when it was read.
            terms.panicShare = Int((share * 10_000 + (1 << 32) - 1) >> 32)
        }
    }

    private func readEndpointAddress(_ node: NodeID) -> SocketAddress? {
        guard let address = readAddress(node) else { return nil }
        guard !address.isAnyPort else {
            checker.fail(
                .outOfRange, node, "nothing can listen on port 0", expected: "1 to 65535")
            return nil
        }
        return address
    }
}
