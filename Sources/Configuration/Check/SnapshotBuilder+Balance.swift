internal import Rules
internal import Wire

/// Endpoints, and how requests are spread over them.
extension SnapshotBuilder {
    /// An address, or a mapping that says more of it.
    func readEndpoint(_ node: NodeID) -> EndpointTerms? {
        guard checker.tree.kind(node) == .mapping else {
            return readEndpointAddress(node).map { EndpointTerms($0) }
        }
        guard let fields = checker.fields(node, EndpointKey.self) else { return nil }
        let address = fields[.address].flatMap(readEndpointAddress)
        var weight: Int64? = 1
        if let value = fields[.weight] {
            weight = checker.count(value, "a weight", 1...Int64(EndpointTerms.weightMax))
        }
        let zone = fields[.zone].flatMap { checker.name($0, "a zone") }
        guard let address, let weight else { return nil }
        return EndpointTerms(address, weight: UInt32(weight), zone: zone)
    }

    private func readEndpointAddress(_ node: NodeID) -> SocketAddress? {
        guard let address = readAddress(node) else { return nil }
        guard !address.isAnyPort else {
            checker.fail(
                .outOfRange, node, "nothing can listen on port 0", expected: "1 to 65535")
            return nil
        }
        return address
    }
}
