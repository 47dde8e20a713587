internal import Wire

extension PeerIdentity {
    /// Whether the certificate was issued for a DNS name: the same name, or one with a wildcard as
    /// its whole first label, which stands for one label (RFC 9525, 6.3). The subject never counts.
    ///
    /// - serverName: without a trailing dot; an address is no name.
    public func carries(serverName: String) -> Bool {
        let name = serverName.lowercased()
        guard !name.isEmpty, !name.contains("*"), IPText.ipv4(name.utf8.span) == nil,
            IPText.ipv6(name.utf8.span) == nil
        else { return false }
        return dnsNames.contains { Self.matches(name, pattern: $0) }
    }

    fileprivate static func matches(_ name: String, pattern: String) -> Bool {
        if name == pattern { return !pattern.contains("*") }
        guard pattern.hasPrefix("*."), let dot = name.utf8.firstIndex(of: UInt8(ascii: ".")) else {
            return false
        }
        let parent = pattern.utf8.dropFirst(2)
        // `*.com` would be everybody's.
        guard parent.contains(UInt8(ascii: ".")), !parent.contains(UInt8(ascii: "*")) else {
            return false
        }
        return dot != name.utf8.startIndex
            && name.utf8[name.utf8.index(after: dot)...].elementsEqual(parent)
    }
}

extension LocalIdentity {
    /// Whether the certificate was issued for a DNS name, as for peers.
    public func carries(serverName: String) -> Bool {
        let name = serverName.lowercased()
        return dnsNames.contains { PeerIdentity.matches(name, pattern: $0) }
    }
}
