public import Wire

extension RateLimit {
    /// No value that a service is told is longer; what is, is cut.
    public static let valueBytesMax = 1_024

    /// What a service is told of a request: the limit's name, then each part. What a request does
    /// not have is empty.
    public func entries(
        path: Span<UInt8>, route: Route?, _ caller: AccessCaller,
        _ fields: borrowing some RequestFields
    ) -> [RateLimitMessage.Entry] {
        var entries = [RateLimitMessage.Entry(key: Array("limit".utf8), value: Array(name.utf8))]
        for part in parts {
            var value: [UInt8] = []
            switch part {
            case .source: value = Array("\(caller.source.subscriber)".utf8)
            case .client: value = Array("\(caller.client.subscriber)".utf8)
            case .peer: value = caller.peer?.proof.words ?? []
            case .method:
                for index in path.indices {
                    if path[index] == UInt8(ascii: "?") { break }
                    value.append(path[index])
                }
            case .route: value = Array((route?.name ?? "").utf8)
            case .header(let name):
                fields.forEachValue(of: name.span) { field in
                    if !value.isEmpty { value.append(UInt8(ascii: ",")) }
                    for index in field.indices { value.append(field[index]) }
                }
            case .claim(let path): value = Self.text(of: path, in: caller.token)
            }
            entries.append(
                RateLimitMessage.Entry(
                    key: part.key, value: Array(value.prefix(Self.valueBytesMax))))
        }
        return entries
    }

    private static func text(of path: [[UInt8]], in token: AccessToken) -> [UInt8] {
        guard case .valid(let claims) = token else { return [] }
        var value = claims.claims
        for name in path {
            guard case .object(let members) = value,
                let member = members.first(where: { $0.name.utf8.elementsEqual(name) })
            else { return [] }
            value = member.value
        }
        switch value {
        case .string(let text): return Array(text.utf8)
        case .integer(let number): return Array("\(number)".utf8)
        case .bool(let isTrue): return Array((isTrue ? "true" : "false").utf8)
        case .null, .number, .array, .object: return []
        }
    }
}

extension RateLimit.Part {
    /// What a service calls it.
    fileprivate var key: [UInt8] {
        switch self {
        case .source: Array("source".utf8)
        case .client: Array("client".utf8)
        case .peer: Array("peer".utf8)
        case .method: Array("method".utf8)
        case .route: Array("route".utf8)
        case .header(let name): name
        case .claim(let path): Array(path.joined(separator: [UInt8(ascii: "/")]))
        }
    }
}

extension AccessPeer.Proof {
    fileprivate var words: [UInt8] {
        id.isEmpty ? Array(dnsNames.joined(separator: [UInt8(ascii: ",")])) : id
    }
}
