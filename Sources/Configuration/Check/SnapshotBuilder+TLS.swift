internal import Identity
internal import Wire

/// Identities, trust, and who uses them.
extension SnapshotBuilder {
    /// A name and what was read of its files.
    struct Named<Value> {
        let name: String
        let node: NodeID
        /// Nil where that was reported.
        let value: Value?
    }

    static let systemTrust = "system"

    func addIdentity(_ node: NodeID) {
        guard let fields = checker.fields(node, IdentityKey.self) else { return }
        let name = ownName(fields[.name], "identity", among: identities)
        guard let certificate = fields[.certificate].flatMap(readFilePath),
            let key = fields[.privateKey].flatMap(readFilePath)
        else { return identities.append(Named(name: name ?? "", node: node, value: nil)) }
        let reading = materials.identity(name: name ?? "", certificate: certificate, key: key)
        report(reading, node, "identity '\(name ?? "")'")
        if let value = reading.value {
            digest.add(value.digest)
            warnIfEnded(node, "the certificate of identity '\(name ?? "")'", value.notAfter)
            if let socket = fields[.authority].flatMap({ readAuthority($0, of: value) }) {
                renewed.append(
                    RenewedIdentity(
                        name: name ?? "", certificate: certificate, privateKey: key,
                        socket: socket, current: value))
            }
        }
        identities.append(Named(name: name ?? "", node: node, value: reading.value))
    }

    /// The path of an authority's socket.
    private func readAuthority(_ node: NodeID, of identity: LocalIdentity) -> String? {
        guard let address = readAddress(node) else { return nil }
        guard case .unix(let path) = address else {
            checker.fail(
                .badValue, node, "an authority listens on unix sockets only",
                expected: "unix: and a path, as in unix:/run/weir-ca/ca.sock")
            return nil
        }
        guard identity.spiffeID != nil else {
            checker.fail(
                .conflict, node, "this identity's certificate has no SPIFFE ID to be renewed for",
                expected: "a certificate of weir ca issue, or no authority")
            return nil
        }
        return path
    }

    func addTrust(_ node: NodeID) {
        guard let fields = checker.fields(node, TrustKey.self) else { return }
        let name = ownName(fields[.name], "trust entry", among: trust)
        if name == Self.systemTrust, let nameNode = fields[.name] {
            checker.fail(
                .badValue, nameNode, "'system' means the authorities of the public web",
                expected: "another name, such as the trust domain's")
        }
        let revocations = fields[.revocations].flatMap(readFilePath)
        guard let authorities = fields[.authorities].flatMap(readFilePath),
            fields[.revocations] == nil || revocations != nil
        else { return trust.append(Named(name: name ?? "", node: node, value: nil)) }
        let reading = materials.bundle(
            name: name ?? "", authorities: authorities, revocations: revocations)
        report(reading, node, "trust entry '\(name ?? "")'")
        if let value = reading.value {
            digest.add(value.digest)
            warnIfEnded(
                node, "an authority or list of trust entry '\(name ?? "")'", value.expiresAt)
        }
        trust.append(Named(name: name ?? "", node: node, value: reading.value))
    }

    func ownName<Value>(
        _ node: NodeID?, _ what: String, among others: [Named<Value>]
    ) -> String? {
        guard let node, let name = checker.name(node, "a name") else { return nil }
        if let first = others.first(where: { $0.name == name }) {
            checker.fail(
                .duplicateName, node,
                "another \(what) is called '\(name)', at \(checker.tree.place(first.node))",
                expected: "a name of its own")
        }
        return name
    }

    /// A file's path; it is watched like the configuration itself.
    func readFilePath(_ node: NodeID) -> String? {
        guard let text = checker.text(node, "a file's path") else { return nil }
        guard !text.isEmpty, !text.hasSuffix("/"), !text.utf8.contains(0) else {
            checker.fail(
                .badValue, node, "'\(text.quotable)' is not a file's path",
                expected: "a path such as tls/weir.crt")
            return nil
        }
        let whole = path(text, relativeTo: node)
        watchedFiles.append(whole)
        return whole
    }

    func report<Value>(_ reading: Materials.Reading<Value>, _ node: NodeID, _ what: String) {
        switch reading {
        case .fresh: return
        case .failed(let failure):
            checker.fail(
                .badFile, node, "\(what) cannot be used: \(failure.words)",
                expected: failure.expected)
        case .kept(_, let failure):
            checker.fail(
                .keptFile, node,
                "\(what) stays as it was, as what is there now cannot be used: \(failure.words)",
                expected: failure.expected)
        }
    }

    private func warnIfEnded(_ node: NodeID, _ what: String, _ end: Int64) {
        guard end < materials.source.unixTime() else { return }
        checker.fail(.expired, node, "\(what) expired at \(UTC.text(seconds: end))")
    }
}

extension SnapshotBuilder {
    /// What a listener's `tls` says; nil for cleartext.
    func readListenerTLS(_ node: NodeID) -> ServerTLSTerms? {
        guard let fields = checker.fields(node, ListenerTLSKey.self) else { return nil }
        let used = fields[.identities].map { readNames($0, "identities") } ?? []
        let chosen = used.compactMap { find($0, "identity", among: identities) }
        for (node, identity) in zip(used, chosen) where !identity.serves {
            checker.fail(
                .conflict, node, "this identity's certificate is not for servers",
                expected: "one whose extended key usage allows serverAuth, or has none")
        }
        var clients = ServerTLSTerms.Clients.none
        if let node = fields[.clients] {
            let choices = ServerTLSTerms.Clients.allCases
            clients =
                checker.choice(node, "clients", choices.map(\.rawValue)).map { choices[$0] }
                ?? .none
        }
        let believed = fields[.trust].map { readNames($0, "trust entries") } ?? []
        let bundles = believed.compactMap { find($0, "trust entry", among: trust) }
        if clients == .none, let node = fields[.trust] {
            checker.fail(
                .conflict, node, "clients of this listener show no certificates",
                expected: "clients: required or optional beside it, or no trust")
        } else if clients != .none, fields[.trust] == nil {
            checker.fail(
                .missingKey, node, "nothing says whom to believe about clients",
                expected: "trust: a list of trust entries")
        }
        let forwards = fields[.forwardClient].flatMap {
            checker.choice($0, "forward_client", ["on", "off"])
        }
        if clients == .none, forwards == 0, let node = fields[.forwardClient] {
            checker.fail(
                .conflict, node, "clients of this listener show no certificates",
                expected: "clients: required or optional beside it, or no forward_client")
        }
        return ServerTLSTerms(
            identities: chosen, clients: clients, trust: bundles, forwardsClient: forwards == 0)
    }

    func readUpstreamTLS(_ node: NodeID) -> ClientTLSTerms? {
        guard let fields = checker.fields(node, UpstreamTLSKey.self) else { return nil }
        var identity: LocalIdentity?
        if let node = fields[.identity] {
            identity = find(node, "identity", among: identities)
            if let identity, !identity.calls {
                checker.fail(
                    .conflict, node, "this identity's certificate is not for clients",
                    expected: "one whose extended key usage allows clientAuth, or has none")
            }
        }
        let bundle = fields[.trust].flatMap(readUpstreamTrust)
        let patterns = fields[.peers].map { readPeers($0, under: bundle) } ?? []
        let dnsName = fields[.dnsName].flatMap(readServerName)
        let serverName = fields[.serverName].flatMap(readServerName) ?? dnsName
        guard let bundle else { return nil }
        return ClientTLSTerms(
            identity: identity, trust: [bundle], peers: patterns, dnsName: dnsName,
            serverName: serverName)
    }

    private func readUpstreamTrust(_ node: NodeID) -> TrustBundle? {
        guard checker.tree.bytes(node).elementsEqual(Self.systemTrust.utf8) else {
            return find(node, "trust entry", among: trust)
        }
        let reading = materials.bundle(
            name: Self.systemTrust, authorities: Materials.systemAuthorities, revocations: nil,
            isSystem: true)
        watchedFiles.append(Materials.systemAuthorities)
        report(reading, node, "the system's trust")
        if let value = reading.value { digest.add(value.digest) }
        return reading.value
    }

    private func readNames(_ node: NodeID, _ what: String) -> [NodeID] {
        let nodes = checker.items(node, what, 1...100)
        var seen: Set<String> = []
        return nodes.filter { node in
            guard let name = checker.name(node, "a name") else { return false }
            if seen.insert(name).inserted { return true }
            checker.fail(
                .duplicateEntry, node, "'\(name)' is listed twice", expected: "each name once")
            return false
        }
    }

    func find<Value>(
        _ node: NodeID, _ what: String, among named: [Named<Value>]
    ) -> Value? {
        guard let name = checker.name(node, "a name") else { return nil }
        guard let known = named.first(where: { $0.name == name }) else {
            checker.failUnknown(
                .unknownReference, node, "there is no \(what)", known: named.map(\.name))
            return nil
        }
        usedNames.insert(known.node)
        return known.value
    }

    private func readPeers(_ node: NodeID, under bundle: TrustBundle?) -> [PeerPattern] {
        checker.items(node, "peers", 1...1_000).compactMap { node in
            guard let pattern = readPeer(node) else { return nil }
            if let bundle, let domain = pattern.trustDomain, domain != bundle.name {
                checker.fail(
                    .neverMatches, node,
                    "\(pattern) is of another trust domain than the trust entry, '\(bundle.name)'",
                    expected: "peers of that trust domain, or the trust entry of theirs")
            }
            return pattern
        }
    }

    /// A pattern of peers.
    func readPeer(_ node: NodeID) -> PeerPattern? {
        guard let text = checker.text(node, "a peer") else { return nil }
        do { return try PeerPattern(text) } catch {
            checker.fail(
                .badValue, node, "'\(text.quotable)' is not a peer: \(error.words)",
                expected: "spiffe://DOMAIN/PATH, /* at its end for all below, dns:NAME or verified")
            return nil
        }
    }

    private func readServerName(_ node: NodeID) -> String? {
        guard let text = checker.text(node, "a host name")?.lowercased() else { return nil }
        if case .success(.dns(let name)) = Result(catching: { try PeerPattern("dns:" + text) }) {
            return name
        }
        checker.fail(
            .badValue, node, "'\(text.quotable)' is not a host name",
            expected: "a name such as orders.example, without a port")
        return nil
    }
}

extension PeerPattern.ParseError {
    var words: String {
        switch self {
        case .spiffe(.tooLong): "it has more than 2048 bytes"
        case .spiffe(.scheme): "it does not begin with spiffe://"
        case .spiffe(.trustDomain):
            "a trust domain has lower-case letters, digits, '.', '-' and '_' only"
        case .spiffe(.path): "its path has an empty, dotted or encoded segment, or ends in '/'"
        case .noPath: "a trust domain alone is nobody"
        case .dnsName: "it is no DNS name"
        case .unknownForm: "it has none of the forms"
        }
    }
}
