internal import Rules
internal import Wire

/// Listeners and upstreams.
extension SnapshotBuilder {
    func addListener(_ node: NodeID) {
        guard let fields = checker.fields(node, ListenerKey.self) else { return }
        let name = fields[.name].flatMap { checker.name($0, "a listener's name") }
        if let name, let nameNode = fields[.name], let first = listenerIndex[name] {
            checker.fail(
                .duplicateName, nameNode,
                "another listener is called '\(name)', at "
                    + "\(checker.tree.place(listeners[first].node))",
                expected: "a name of its own")
        }
        let address = fields[.address].flatMap { readAddress($0) }
        let tls = checkCleartext(fields, address)
        checkAddressIsFree(fields[.address], address)
        let draft = ListenerDraft(
            name: name ?? "", node: node, address: address,
            limits: readLimits(fields[.limits]),
            timeouts: checker.options(
                fields[.timeouts], OptionTables.downstreamTimeouts,
                OptionObjects.downstreamTimeouts),
            intake: readIntake(fields), tls: tls)
        listeners.append(draft)
        if let name, listenerIndex[name] == nil { listenerIndex[name] = listeners.count - 1 }
    }

    private func readIntake(_ fields: Fields<ListenerKey>) -> ListenerTerms.Intake {
        typealias Intake = ListenerTerms.Intake
        var intake = Intake()
        let paths = fields[.paths].flatMap { checker.choice($0, "paths", ["strict", "relaxed"]) }
        if paths == 1 { intake.paths = .relaxed }
        let requestID = fields[.requestID].flatMap {
            checker.choice($0, "request_id", ["pass", "make", "replace"])
        }
        intake.requestID = requestID.flatMap(Intake.RequestID.init) ?? .pass
        let loops = fields[.loops].flatMap { checker.choice($0, "loops", ["refuse", "allow"]) }
        intake.refusesLoops = loops != 1
        intake.trustedProxies = fields[.trustedProxies].map {
            TrustedProxies(readRanges($0, "trusted proxies", min: 0))
        }
        intake.proxyProtocol = readProxyProtocol(fields)
        intake.rateLimits = fields[.rateLimits].map(readListenerLimits) ?? .init()
        return intake
    }

    func addUpstream(_ node: NodeID) {
        guard let fields = checker.fields(node, UpstreamKey.self) else { return }
        let name = fields[.name].flatMap { checker.name($0, "an upstream's name") }
        if let name, let nameNode = fields[.name], let first = upstreamIndex[name] {
            checker.fail(
                .duplicateName, nameNode,
                "another upstream is called '\(name)', at "
                    + "\(checker.tree.place(upstreams[first].node))",
                expected: "a name of its own")
        }
        let tls = fields[.tls].flatMap(readUpstreamTLS)
        let token = fields[.attachToken].flatMap { readAttachedToken($0, tls?.identity) }
        let draft = UpstreamDraft(
            name: name ?? "", node: node,
            endpoints: fields[.endpoints].map(readEndpoints) ?? ([], nil),
            limits: readUpstreamLimits(fields[.limits]),
            timeouts: readUpstreamTimeouts(fields[.timeouts]),
            isGRPCOnly: fields[.grpc].flatMap { checker.boolean($0, "grpc") },
            proof: UpstreamTerms.Proof(tls: tls, token: token),
            conduct: readConduct(fields, name ?? ""))
        upstreams.append(draft)
        if let name, upstreamIndex[name] == nil { upstreamIndex[name] = upstreams.count - 1 }
    }

    private func readConduct(
        _ fields: Fields<UpstreamKey>, _ name: String
    ) -> UpstreamTerms.Conduct {
        var conduct = UpstreamTerms.Conduct()
        conduct.healthCheck = fields[.healthCheck].flatMap { readHealthCheck($0, upstream: name) }
        conduct.balance = fields[.balance].map(readBalance) ?? BalanceTerms()
        conduct.adaptive = fields[.adaptiveConcurrency].flatMap(readAdaptiveConcurrency)
        conduct.ejection = fields[.ejection].flatMap(readEjection)
        conduct.retryThrottle = fields[.retryThrottle].flatMap(readRetryThrottle)
        return conduct
    }

    /// An address, the path of a unix socket made relative to the file that names it.
    func readAddress(_ node: NodeID) -> SocketAddress? {
        guard var text = checker.text(node, "an address") else { return nil }
        if text.hasPrefix("unix:"), !text.hasPrefix("unix:/"), !text.hasPrefix("unix:@") {
            text = "unix:" + path(String(text.dropFirst("unix:".count)), relativeTo: node)
        }
        do {
            return try SocketAddress(parsing: text)
        } catch {
            checker.fail(
                .badValue, node, "'\(text.quotable)' is not an address", expected: error.expected)
            return nil
        }
    }

    /// The listener's TLS; nil for cleartext, which must be meant where others can reach it.
    private func checkCleartext(
        _ fields: Fields<ListenerKey>, _ address: SocketAddress?
    ) -> ServerTLSTerms? {
        if let tls = fields[.tls] {
            if checker.tree.kind(tls) == .mapping { return readListenerTLS(tls) }
            if let text = checker.text(tls, "off, or a mapping"), text != "off" {
                checker.fail(
                    .badValue, tls, "tls cannot be '\(text.quotable)'",
                    expected: "off, or a mapping with identities")
            }
        } else if let address, !address.isLoopback {
            checker.fail(
                .cleartext, fields[.address] ?? fields.node,
                "other machines can reach \(address), and there is no TLS on it",
                expected: "tls: {identities: [...]}, or tls: off to say that cleartext is meant")
        }
        return nil
    }

    private func checkAddressIsFree(_ node: NodeID?, _ address: SocketAddress?) {
        guard let node, let address, !address.isAnyPort,
            let other = listeners.first(where: { $0.address == address })
        else { return }
        checker.fail(
            .conflict, node, "listener '\(other.name)' has the address \(address) already",
            expected: "an address of its own")
    }

    private func readEndpoints(
        _ node: NodeID
    ) -> (fixed: [EndpointTerms], source: EndpointSource?) {
        checker.tree.kind(node) == .mapping
            ? ([], readEndpointSource(node)) : (readEndpointList(node, min: 1), nil)
    }

    func readEndpointList(_ node: NodeID, min least: Int) -> [EndpointTerms] {
        var endpoints: [EndpointTerms] = []
        var seen: Set<SocketAddress> = []
        for item in checker.items(node, "endpoints", least...10_000) {
            guard let endpoint = readEndpoint(item) else { continue }
            if seen.insert(endpoint.address).inserted {
                endpoints.append(endpoint)
            } else {
                checker.fail(
                    .duplicateEntry, item, "the endpoint \(endpoint.address) is listed twice",
                    expected: "each endpoint once")
            }
        }
        return endpoints
    }
}

/// Limits and timeouts, and what must hold between two of them.
extension SnapshotBuilder {
    private func readLimits(_ node: NodeID?) -> DownstreamLimits {
        let limits: DownstreamLimits = checker.options(
            node, OptionTables.downstreamLimits, OptionObjects.downstreamLimits)
        checkWindows(node, limits.streamWindowBytes, limits.streamWindowBytesMax)
        return limits
    }

    private func readUpstreamLimits(_ node: NodeID?) -> UpstreamLimits {
        let limits: UpstreamLimits = checker.options(
            node, OptionTables.upstreamLimits, OptionObjects.upstreamLimits)
        checkWindows(node, limits.streamWindowBytes, limits.streamWindowBytesMax)
        return limits
    }

    private func checkWindows(_ node: NodeID?, _ first: Int32, _ most: Int32) {
        guard let node, first > most else { return }
        checker.fail(
            .conflict, node,
            "stream_window, \(Size.describe(Int64(first))), is above stream_window_max, "
                + Size.describe(Int64(most)),
            expected: "stream_window_max to be at least as large")
    }

    private func readUpstreamTimeouts(_ node: NodeID?) -> UpstreamTimeouts {
        let timeouts: UpstreamTimeouts = checker.options(
            node, OptionTables.upstreamTimeouts, OptionObjects.upstreamTimeouts)
        guard let node else { return timeouts }
        if timeouts.backoffBase > timeouts.backoffMax {
            checker.fail(
                .conflict, node,
                "backoff_base, \(Duration.describe(timeouts.backoffBase)), is above backoff_max, "
                    + Duration.describe(timeouts.backoffMax),
                expected: "backoff_max to be at least as long")
        }
        if timeouts.keepalive > 0, timeouts.keepalive < 300_000_000_000 {
            checker.fail(
                .keepalive, node,
                "many gRPC servers close connections whose PINGs come more often than every 5m",
                expected: "keepalive: 5m or more, unless the servers are known to allow it")
        }
        return timeouts
    }
}

extension SocketAddress {
    /// Port 0: the system chooses.
    var isAnyPort: Bool {
        switch self {
        case .ipv4(_, let port), .ipv6(_, _, let port): port == 0
        case .unix: false
        }
    }
}
