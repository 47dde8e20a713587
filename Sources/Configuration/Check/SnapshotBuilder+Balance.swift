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
            checkHash(node, nil, terms)
            return terms
        }
        guard let fields = checker.fields(node, BalanceKey.self) else { return terms }
        if let value = fields[.algorithm] { readAlgorithm(value, &terms) }
        readHash(node, fields, &terms)
        readLatency(fields, &terms)
        if let value = fields[.panic] { readPanic(value, &terms) }
        readSpreading(fields, &terms)
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

    /// Where a hash says where requests go, nothing else does.
    private func readSpreading(_ fields: Fields<BalanceKey>, _ terms: inout BalanceTerms) {
        for key in [BalanceKey.slowStart, .zones, .subset] {
            guard terms.isByHash, let value = fields[key] else { continue }
            checker.fail(
                .conflict, value,
                "\(key.term.key) means nothing to \(terms.algorithm.rawValue)",
                expected: "another algorithm, or no \(key.term.key)")
        }
        terms.slowStart = fields[.slowStart].flatMap(readSlowStart)
        terms.zones = fields[.zones].flatMap(readZones)
        if let value = fields[.subset], let count = checker.count(value, "a subset", 1...10_000) {
            terms.subset = Int(count)
        }
    }

    private func readSlowStart(_ node: NodeID) -> SlowStartTerms? {
        guard let fields = checker.fields(node, SlowStartKey.self), let value = fields[.window],
            let window = checker.duration(value, "window", offAllowed: false)
        else { return nil }
        var terms = SlowStartTerms(window: window)
        if let value = fields[.aggression], let number = checker.count(value, "aggression", 1...10)
        {
            terms.aggression = Int(number) * 100
        }
        if let value = fields[.minimum], let share = readShare(value, "minimum") {
            terms.minimum = share
        }
        return terms
    }

    private func readZones(_ node: NodeID) -> ZoneTerms? {
        guard let fields = checker.fields(node, ZonesKey.self) else { return nil }
        let minimum = fields[.minimum].map { readShare($0, "minimum") } ?? 7_000
        guard let zone else {
            checker.fail(
                .conflict, node, "nothing says in which zone this process is",
                expected: "zone: NAME at the top level, or no zones")
            return nil
        }
        return minimum.map { ZoneTerms(local: zone, minimum: $0) }
    }

    /// In 10,000.
    private func readShare(_ node: NodeID, _ what: String) -> Int? {
        // Of 2^32, rounded down when it was read.
        checker.percent(node, what).map { Int(($0 * 10_000 + (1 << 32) - 1) >> 32) }
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
        } else if let share = readShare(node, "panic") {
            terms.panicShare = share
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
