extension RouteTable {
    /// One pattern as it was compiled, for people.
    public struct Entry: Sendable {
        /// An exact host, `*.` and a suffix, or `*`.
        public var host: String
        /// An exact path, a prefix with `*` behind it, or `*`.
        public var path: String
        /// Nil is any.
        public var httpMethod: String?
        public var headerConditions: Int
        public var queryConditions: Int
        /// The route's position in the snapshot's list.
        public var route: Int
    }

    /// All patterns, the most specific first: the first that covers a request is taken.
    public var entries: [Entry] {
        let hosts = parts.hosts.indices.sorted { order(ofHost: $0) < order(ofHost: $1) }
        let paths = Dictionary(grouping: parts.paths.indices) { Int(parts.paths[$0].owner >> 2) }
        return hosts.flatMap { host in
            let ordered = (paths[host] ?? []).sorted { order(ofPath: $0) < order(ofPath: $1) }
            let named = ordered.flatMap { path in
                let entry = parts.paths[path]
                return entries(
                    host, text(ofPath: entry), Int(entry.firstCandidate), Int(entry.candidateCount))
            }
            let any = parts.hosts[host]
            return named + entries(host, "*", Int(any.firstCandidate), Int(any.candidateCount))
        }
    }

    private func entries(_ host: Int, _ path: String, _ first: Int, _ count: Int) -> [Entry] {
        parts.candidates[first..<(first + count)].map { candidate in
            let method = candidate.method == 0 ? nil : parts.methods[Int(candidate.method) - 1]
            return Entry(
                host: text(ofHost: host), path: path, httpMethod: method.map(text),
                headerConditions: Int(candidate.headers),
                queryConditions: Int(candidate.parameters), route: Int(candidate.route))
        }
    }

    /// Exact hosts, wildcards from the longest, any; those alike by their text.
    private func order(ofHost position: Int) -> (Int, Int, String) {
        let host = text(parts.hosts[position].text)
        if host.isEmpty { return (2, 0, "") }
        return host.hasPrefix(".") ? (1, -host.utf8.count, host) : (0, 0, host)
    }

    /// Exact paths, prefixes from the longest.
    private func order(ofPath position: Int) -> (Int, Int, String) {
        let path = parts.paths[position]
        let isExact = path.owner & 3 == PathKind.exact.rawValue
        return (isExact ? 0 : 1, isExact ? 0 : -Int(path.count), text(ofPath: path))
    }

    private func text(ofHost position: Int) -> String {
        let host = text(parts.hosts[position].text)
        return host.isEmpty ? "*" : host.hasPrefix(".") ? "*" + host : host
    }

    private func text(ofPath path: Path) -> String {
        let whole = text(Slice(start: path.start, count: UInt32(path.count)))
        switch path.owner & 3 {
        case PathKind.exact.rawValue: return whole
        case PathKind.segments.rawValue: return whole + "/*"
        default: return whole + "*"
        }
    }

    private func text(_ slice: Slice) -> String {
        String(decoding: parts.bytes[slice.range], as: UTF8.self)
    }
}
