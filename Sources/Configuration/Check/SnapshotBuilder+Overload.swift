internal import Rules

/// What is done where there is too much to do.
extension SnapshotBuilder {
    func readOverload(_ node: NodeID) -> OverloadTerms? {
        guard let fields = checker.fields(node, OverloadKey.self) else { return nil }
        var terms = OverloadTerms()
        if let node = fields[.memory] {
            if checker.tree.kind(node) == .scalar,
                checker.tree.bytes(node).elementsEqual("off".utf8)
            {
                terms.memory = .off
            } else if let bytes = checker.size(node, "memory", OverloadKey.memoryRange) {
                terms.memory = .bytes(bytes)
            }
        }
        if let node = fields[.lag] {
            let range = OverloadKey.lagMin...Duration.range.upperBound
            terms.lag = checker.duration(node, "lag", range) ?? terms.lag
        }
        return terms
    }
}
