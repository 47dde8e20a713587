import Wire

/// What a balancer in front of the proxy says first of a client's connection (`ProxyHeader`); all
/// connections come from its address.
enum BalancerHeader {
    static let sender = SocketAddress.ipv4(address: 0x0AFF_0001, port: 60_000)
    private static let senders = "10.255.0.0/16"

    /// What the proxy is told of it.
    static func listenerText(_ version: ProxyHeader.Version) -> String {
        ", proxy_protocol: \(version), proxy_protocol_from: [\(senders)]"
    }

    /// Version 2 with a field that is to be skipped.
    static func bytes(_ version: ProxyHeader.Version, for client: SocketAddress) -> [UInt8] {
        guard case .ipv4(let address, let port) = client else { return [] }
        let octets = (0..<4).map { UInt8(truncatingIfNeeded: address >> (24 - 8 * $0)) }
        switch version {
        case .v1:
            let text = octets.map { "\($0)" }.joined(separator: ".")
            return Array("PROXY TCP4 \(text) 10.255.0.2 \(port) 443\r\n".utf8)
        case .v2:
            let signature: [UInt8] = [13, 10, 13, 10, 0, 13, 10, 0x51, 0x55, 0x49, 0x54, 10]
            let ports = [UInt8(port >> 8), UInt8(port & 255), 1, 187]
            let field: [UInt8] = [0x04, 0, 40] + Array(repeating: 0x20, count: 40)
            let block = octets + [10, 255, 0, 2] + ports + field
            return signature + [0x21, 0x11, 0, UInt8(block.count)] + block
        }
    }
}
