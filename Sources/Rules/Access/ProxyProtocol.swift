public import Wire

/// What a listener asks of the proxies in front that pass bytes on: to say first whose they are.
public struct ProxyProtocol: Sendable, Equatable {
    public let version: ProxyHeader.Version
    /// Whose connections it takes: nobody else may say who a client is.
    public let senders: [AddressRange]

    public init(version: ProxyHeader.Version, senders: [AddressRange]) {
        self.version = version
        self.senders = senders
    }

    public var words: String {
        let proxies = senders.map { "\($0)" }.joined(separator: ", ")
        let version = version == .v1 ? "1" : "2"
        return "as a PROXY header of version \(version) from \(proxies) says"
    }

    public func admits(_ sender: IPAddress) -> Bool {
        senders.contains { $0.contains(sender) }
    }
}
