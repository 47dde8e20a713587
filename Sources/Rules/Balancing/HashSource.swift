public import Wire

/// What of a request decides where it goes.
public struct HashSource: Equatable, Sendable {
    public enum Kind: Equatable, Sendable {
        /// The values of a header, by its name in lower case.
        case header([UInt8])
        /// A claim of the verified token: names, each but the last an object's.
        case claim([[UInt8]])
        /// Who the client has proven to be.
        case peer
        /// The address at the other end of the connection.
        case source
        /// The same, or the client's behind a proxy that is believed.
        case client
        case cookie(AffinityCookie)
    }

    public let kind: Kind
    /// Where it gives a hash those behind it are not looked at.
    public let isFinal: Bool

    public init(_ kind: Kind, isFinal: Bool = false) {
        self.kind = kind
        self.isFinal = isFinal
    }
}

/// A cookie that keeps a client at one endpoint.
public struct AffinityCookie: Equatable, Sendable {
    public let name: [UInt8]
    /// What the client is told to keep it for, in seconds; 0 is until it is closed. Nil: Weir sets
    /// none.
    public let lifetime: Int64?
    public let path: [UInt8]

    public init(name: [UInt8], lifetime: Int64?, path: [UInt8]) {
        self.name = name
        self.lifetime = lifetime
        self.path = path
    }
}

/// A hash of several things, put together as gRPC does (gRFC A42).
public struct RequestHash: Sendable {
    /// Nil while nothing was there to be hashed.
    public private(set) var value: UInt64?

    public init() {}

    public mutating func combine(_ hash: UInt64) {
        let earlier = value ?? 0
        value = (earlier &<< 1 | earlier &>> 63) ^ hash
    }
}

extension JSONValue {
    /// Of a claim that is text, a number or a truth; nil for others and for none.
    public func affinityHash(at path: [[UInt8]]) -> UInt64? {
        var value = self
        for name in path {
            guard case .object(let members) = value,
                let member = members.first(where: { $0.name.utf8.elementsEqual(name) })
            else { return nil }
            value = member.value
        }
        switch value {
        case .string(let text), .number(let text): return XXH64.hash(text.utf8.span)
        case .integer(let number): return XXH64.hash(UInt64(bitPattern: number))
        case .bool(let truth): return XXH64.hash(truth ? 1 : 0)
        case .null, .array, .object: return nil
        }
    }
}

extension AccessPeer {
    /// Of its SPIFFE ID, or of the first name of its certificate; nil without either.
    public var affinityHash: UInt64? {
        let id = proof.id
        if !id.isEmpty { return XXH64.hash(id.span) }
        guard let name = proof.dnsNames.first else { return nil }
        return XXH64.hash(name.span)
    }
}

extension IPAddress {
    /// Nil for unix sockets, which all come from the same place.
    public var affinityHash: UInt64? {
        words.map { XXH64.hash($0.high, seed: XXH64.hash($0.low)) }
    }
}

extension Span<UInt8> {
    /// The value of a cookie in a `cookie` field (RFC 6265, 4.2.1); nil where it is not there.
    public func cookie(_ name: [UInt8]) -> Range<Int>? {
        var start = 0
        while start < count {
            while start < count, self[start] == UInt8(ascii: " ") { start &+= 1 }
            var end = start
            while end < count, self[end] != UInt8(ascii: ";") { end &+= 1 }
            let valueStart = start &+ name.count &+ 1
            if valueStart <= end, self[valueStart &- 1] == UInt8(ascii: "="),
                name.indices.allSatisfy({ self[start &+ $0] == name[$0] })
            {
                return valueStart..<end
            }
            start = end &+ 1
        }
        return nil
    }
}

extension HashSource: CustomStringConvertible {
    /// For explanations.
    public var description: String {
        switch kind {
        case .header(let name): "header " + String(decoding: name, as: UTF8.self)
        case .claim(let path):
            "claim " + path.map { String(decoding: $0, as: UTF8.self) }.joined(separator: "/")
        case .peer: "peer"
        case .source: "source"
        case .client: "client"
        case .cookie(let cookie): "cookie " + String(decoding: cookie.name, as: UTF8.self)
        }
    }
}
