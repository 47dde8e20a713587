public import Wire

/// Where an upstream's endpoints come from, other than the configuration itself.
public enum EndpointSource: Hashable, Sendable {
    case dns(DNSTerms)
    /// A file's path.
    case file(String)
}

extension EndpointSource: CustomStringConvertible {
    public var description: String {
        switch self {
        case .dns(let terms): "dns \(terms)"
        case .file(let path): "file \(path)"
        }
    }
}

/// What DNS is asked, whom, and for how long answers hold.
public struct DNSTerms: Hashable, Sendable {
    public enum Kind: String, CaseIterable, Sendable {
        case ipv4 = "a"
        case ipv6 = "aaaa"
        case both
        case service = "srv"
    }

    /// As it was written: with a dot at its end no search domain is tried.
    public var name: String
    /// 0 where the answer says it.
    public var port: UInt16
    public var kind: Kind
    /// What an answer's time to live is raised and cut to; nanoseconds.
    public var ttlMin: Int64 = 5_000_000_000
    public var ttlMax: Int64 = 300_000_000_000
    /// For the first try; doubled with each.
    public var timeout: Int64 = 2_000_000_000
    public var tries = 2
    /// Empty: those of /etc/resolv.conf.
    public var servers: [SocketAddress] = []
    /// An answer that says that there is no address empties the list; otherwise the last one stays.
    public var takesEmpty = false

    public init(name: String, port: UInt16, kind: Kind) {
        self.name = name
        self.port = port
        self.kind = kind
    }

    /// What was found by the one is of use to the other.
    public func asksTheSame(as other: DNSTerms) -> Bool {
        name == other.name && port == other.port && kind == other.kind
    }
}

extension DNSTerms: CustomStringConvertible {
    public var description: String {
        switch kind {
        case .both: "\(name):\(port)"
        case .ipv4, .ipv6: "\(name):\(port) (\(kind.rawValue))"
        case .service: "\(name) (srv)"
        }
    }
}
