internal import Rules
internal import Wire

/// `proxy_protocol` and `proxy_protocol_from`, which go together.
extension SnapshotBuilder {
    func readProxyProtocol(_ fields: Fields<ListenerKey>) -> ProxyProtocol? {
        let versions: [ProxyHeader.Version?] = [nil, .v1, .v2]
        let choice = fields[.proxyProtocol].flatMap {
            checker.choice($0, "proxy_protocol", ["off", "v1", "v2"])
        }
        let senders = fields[.proxyProtocolFrom].map { readRanges($0, "proxy_protocol_from") }
        guard let version = versions[choice ?? 0] else {
            // Nothing to say where the version is there, and wrong.
            if let node = fields[.proxyProtocolFrom], fields[.proxyProtocol] == nil {
                checker.fail(
                    .missingKey, node, "proxy_protocol_from is of no use without proxy_protocol",
                    expected: "proxy_protocol: v1 or v2 beside it")
            }
            return nil
        }
        guard let senders else {
            checker.fail(
                .missingKey, fields[.proxyProtocol] ?? fields.node,
                "proxy_protocol does not say whose header is believed",
                expected: "proxy_protocol_from: the addresses of the proxies in front, such as "
                    + "[10.0.0.0/8]")
            return nil
        }
        return ProxyProtocol(version: version, senders: senders)
    }
}
