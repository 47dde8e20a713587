internal import Wire

/// Walks the groups of patterns whose host and path cover a request, the most specific first.
struct RouteSearch {
    private let prefixes: PathPrefixes
    private var hosts: MatchingHosts
    /// What comes next under the current host: one more than the deepest prefix is the exact path,
    /// below that the depths of prefixes, 0 is any path, less is the end.
    private var stage: Int

    init(authority: Span<UInt8>, path: Span<UInt8>, in parts: borrowing RouteTable.Parts) {
        prefixes = PathPrefixes(path, limit: parts.prefixDepth)
        hosts = MatchingHosts(authority, in: parts)
        stage = prefixes.count &+ 1
    }

    /// Whether the last group was that of the whole path.
    var isExactPath: Bool { stage == prefixes.count }

    /// Where the query of `path` is, without its `?`.
    func query(of path: Span<UInt8>) -> Range<Int> {
        min(prefixes.pathEnd &+ 1, path.count)..<path.count
    }

    /// The positions of the next group's candidates, in order; nil after the last.
    @inline(__always)
    mutating func next(
        _ path: Span<UInt8>, in parts: borrowing RouteTable.Parts
    ) -> Range<Int>? {
        while let position = hosts.current {
            let host = parts.hosts[position]
            while stage >= 0 {
                let group = group(at: stage, of: host, position, path, in: parts)
                stage &-= 1
                if !group.isEmpty { return group }
            }
            hosts.advance()
            stage = prefixes.count &+ 1
        }
        return nil
    }

    @inline(__always)
    private func group(
        at stage: Int, of host: RouteTable.Host, _ position: Int, _ path: Span<UInt8>,
        in parts: borrowing RouteTable.Parts
    ) -> Range<Int> {
        if stage == 0 {
            let first = Int(host.firstCandidate)
            return first..<(first &+ Int(host.candidateCount))
        }
        let owner = UInt32(truncatingIfNeeded: position) << 2
        var found: Int?
        if stage > prefixes.count {
            guard host.hasExactPaths else { return 0..<0 }
            let whole = path.extracting(0..<prefixes.pathEnd)
            found = parts.findPath(whole, prefixes.pathHash, owner | PathKind.exact.rawValue)
        } else {
            guard host.prefixDepths >> UInt64(stage) & 1 != 0 else { return 0..<0 }
            let prefix = prefixes.prefix(stage)
            let part = path.extracting(0..<prefix.end)
            found = parts.findPath(part, prefix.hash, owner | prefix.kind.rawValue)
        }
        guard let found else { return 0..<0 }
        let first = Int(parts.paths[found].firstCandidate)
        return first..<(first &+ Int(parts.paths[found].candidateCount))
    }
}

/// The hosts of the table that cover an authority: exact, wildcards from the longest, any.
struct MatchingHosts {
    /// In the order of finding: any host, wildcards from the shortest, of which there are at most
    /// `wildcardsPerHostMax`, the exact host.
    private var positions: [10 of UInt32] = .init(repeating: 0)
    private var left = 1

    /// The position of the most specific host that is left.
    @inline(__always)
    var current: Int? { left > 0 ? Int(positions[left &- 1]) : nil }

    @inline(__always)
    mutating func advance() { left &-= 1 }

    init(_ authority: Span<UInt8>, in parts: borrowing RouteTable.Parts) {
        guard parts.hosts.count > 1 else { return }
        let end = Self.hostEnd(authority)
        var hash = RouteHash()
        var depth: UInt64 = 0
        var index = end
        while index > 0 {
            index &-= 1
            let byte = authority[index].lowercasedASCII
            hash.append(byte)
            if byte == UInt8(ascii: "."), index > 0 {
                depth &+= 1
                if depth < 64, parts.wildcardDepths >> depth & 1 != 0 {
                    keep(parts.findHost(authority.extracting(index..<end), hash.value))
                }
            }
        }
        keep(parts.findHost(authority.extracting(0..<end), hash.value))
    }

    @inline(__always)
    private mutating func keep(_ position: Int?) {
        guard let position, left < positions.count else { return }
        positions[left] = UInt32(truncatingIfNeeded: position)
        left &+= 1
    }

    /// Where the host ends: before a port and one trailing dot. The authority has been checked.
    private static func hostEnd(_ authority: Span<UInt8>) -> Int {
        var end = authority.count
        while end > 0, authority[end &- 1] &- UInt8(ascii: "0") <= 9 { end &-= 1 }
        if end > 0, authority[end &- 1] == UInt8(ascii: ":") {
            end &-= 1
        } else {
            end = authority.count
        }
        if end > 0, authority[end &- 1] == UInt8(ascii: ".") { end &-= 1 }
        return end
    }
}

extension RouteTable.Parts {
    /// The position of a host or wildcard; letters' case in `host` does not count.
    func findHost(_ host: Span<UInt8>, _ hash: UInt64) -> Int? {
        let key = RouteHash.key(hash, 0)
        var slot = hostSlots.start(key)
        while hostSlots.slots[slot] != 0 {
            if let position = SlotTable.position(hostSlots.slots[slot], key),
                isHost(hosts[position].text, host)
            {
                return position
            }
            slot = hostSlots.next(slot)
        }
        return nil
    }

    private func isHost(_ slice: RouteTable.Slice, _ host: Span<UInt8>) -> Bool {
        guard host.count == Int(slice.count) else { return false }
        let start = Int(slice.start)
        for index in host.indices where host[index].lowercasedASCII != bytes[start + index] {
            return false
        }
        return true
    }
}
