internal import Rules
internal import Wire

/// Endpoints that are found elsewhere.
extension SnapshotBuilder {
    private static let second: Int64 = 1_000_000_000

    /// `{dns: …}` or `{file: …}`.
    func readEndpointSource(_ node: NodeID) -> EndpointSource? {
        guard let fields = checker.fields(node, EndpointSourceKey.self) else { return nil }
        if let node = fields[.file] { return readEndpointFile(node) }
        guard let node = fields[.dns] else { return nil }
        let isMapping = checker.tree.kind(node) == .mapping
        return (isMapping ? readDNS(node) : readNameAndPort(node)).map { .dns($0) }
    }

    /// What is wrong with the file is told here; later on the last good list stays in use.
    private func readEndpointFile(_ node: NodeID) -> EndpointSource? {
        guard let text = checker.text(node, "a file's path") else { return nil }
        guard !text.isEmpty, !text.hasSuffix("/"), !text.utf8.contains(0) else {
            checker.fail(
                .badValue, node, "'\(text.quotable)' is not a file's path",
                expected: "a path such as endpoints/orders.yaml")
            return nil
        }
        let path = path(text, relativeTo: node)
        report(materials.endpoints(path), node, "the endpoints in \(path.quotable)")
        return .file(path)
    }

    private func readNameAndPort(_ node: NodeID) -> DNSTerms? {
        guard let text = checker.text(node, "a name and a port") else { return nil }
        let colon = text.utf8.lastIndex(of: UInt8(ascii: ":"))
        let digits = colon.map { Array(text.utf8[$0...].dropFirst()) } ?? []
        guard let colon, let port = Quantity.digits(digits[...]), (1...65_535).contains(port) else {
            checker.fail(
                .badValue, node, "\(checker.found(node)) is not a name and a port",
                expected: "both, as in orders.internal:50051")
            return nil
        }
        guard let name = checkName(String(text[..<colon]), node) else { return nil }
        return DNSTerms(name: name, port: UInt16(port), kind: .both)
    }

    private func readDNS(_ node: NodeID) -> DNSTerms? {
        guard let fields = checker.fields(node, DNSKey.self) else { return nil }
        let name = fields[.name].flatMap { node in
            checker.text(node, "a DNS name").flatMap { checkName($0, node) }
        }
        let kinds: [DNSTerms.Kind] = [.both, .ipv4, .ipv6, .service]
        let choice = fields[.type].flatMap {
            checker.choice($0, "type", ["both", "a", "aaaa", "srv"])
        }
        let kind = kinds[choice ?? 0]
        let port = readPort(fields, kind)
        guard let name, let port else { return nil }
        var terms = DNSTerms(name: name, port: port, kind: kind)
        readTimes(fields, &terms)
        if let node = fields[.tries] {
            let range = Int64(DNSKey.triesRange.lowerBound)...Int64(DNSKey.triesRange.upperBound)
            terms.tries = checker.count(node, "tries", range).map { Int($0) } ?? terms.tries
        }
        terms.servers = fields[.servers].map(readDNSServers) ?? []
        let empty = fields[.empty].flatMap { checker.choice($0, "empty", ["keep", "take"]) }
        terms.takesEmpty = empty == 1
        return terms
    }

    /// 0 where the answer says it.
    private func readPort(_ fields: Fields<DNSKey>, _ kind: DNSTerms.Kind) -> UInt16? {
        guard kind != .service else {
            guard let node = fields[.port] else { return 0 }
            checker.fail(
                .conflict, node, "SRV records say the ports themselves",
                expected: "no port, or another type than srv")
            return nil
        }
        guard let node = fields[.port] else {
            checker.fail(
                .missingKey, fields.node, "this dns has no 'port'",
                expected: "port: of the endpoints, or type: srv")
            return nil
        }
        return checker.count(node, "a port", 1...65_535).map { UInt16($0) }
    }

    private func readTimes(_ fields: Fields<DNSKey>, _ terms: inout DNSTerms) {
        let most = Duration.range.upperBound
        if let node = fields[.minTTL] {
            terms.ttlMin =
                checker.duration(node, "min_ttl", Self.second...most, offAllowed: false)
                ?? terms.ttlMin
            terms.ttlMax = max(terms.ttlMin, terms.ttlMax)
        }
        if let node = fields[.maxTTL] {
            terms.ttlMax =
                checker.duration(node, "max_ttl", Self.second...most, offAllowed: false)
                ?? terms.ttlMax
            if fields[.minTTL] == nil { terms.ttlMin = min(terms.ttlMin, terms.ttlMax) }
            if terms.ttlMin > terms.ttlMax {
                checker.fail(
                    .conflict, node,
                    "min_ttl, \(Duration.describe(terms.ttlMin)), is above max_ttl",
                    expected: "max_ttl to be at least as long")
                terms.ttlMin = terms.ttlMax
            }
        }
        if let node = fields[.timeout] {
            terms.timeout =
                checker.duration(node, "timeout", 10_000_000...60 * Self.second, offAllowed: false)
                ?? terms.timeout
        }
    }

    private func readDNSServers(_ node: NodeID) -> [SocketAddress] {
        checker.items(node, "DNS servers", 1...DNSKey.serversMax).compactMap { item in
            guard let address = readAddress(item) else { return nil }
            if case .unix = address {
                checker.fail(
                    .badValue, item, "DNS servers are not asked over unix sockets",
                    expected: "an address such as 10.0.0.2:53")
                return nil
            }
            guard !address.isAnyPort else {
                checker.fail(
                    .outOfRange, item, "nothing can listen on port 0", expected: "1 to 65535")
                return nil
            }
            return address
        }
    }

    private func checkName(_ text: String, _ node: NodeID) -> String? {
        let isAddress = try? SocketAddress(parsing: text + ":1")
        guard DNSName(parsing: text) != nil, isAddress == nil else {
            checker.fail(
                .badValue, node, "'\(text.quotable)' is not a DNS name",
                expected: isAddress == nil
                    ? "letters, digits, '-' and '_' between dots"
                    : "a list of endpoints for addresses, a name here")
            return nil
        }
        return text
    }
}
