internal import Wire

/// Which rules name what.
extension AccessTable {
    /// Listeners that are looked at for a rule that counts on all.
    private static let listenersSeen = 16

    /// Positions of the rules that name a request, in their order, dry runs too.
    public func rules(
        naming path: [UInt8], httpMethod: [UInt8]?, listener: Int
    ) -> [Int] {
        let method = httpMethod ?? Array("POST".utf8)
        let match = match(listener: listener, httpMethod: method.span, path: path.span)
        var positions: Set<Int> = []
        var walk = AccessWalk(includesDryRuns: true)
        while let position = walk.next(match, in: parts) { positions.insert(position) }
        return positions.sorted()
    }

    /// The first rule that lets callers in to the path which the rule at `position` names, by a
    /// pattern that covers more.
    public func widerRule(
        than position: Int, _ path: [UInt8], _ httpMethod: [UInt8]?
    ) -> Int? {
        let listeners = rules[position].listeners ?? Array(0..<Self.listenersSeen)
        for listener in listeners.prefix(Self.listenersSeen) {
            let found = rules(naming: path, httpMethod: httpMethod, listener: listener).first {
                let other = rules[$0]
                return $0 != position && other.mode == .enforce && !other.allow.isEmpty
                    && !other.patterns.contains { $0.path == .exact(path) }
            }
            if let found { return found }
        }
        return nil
    }
}
