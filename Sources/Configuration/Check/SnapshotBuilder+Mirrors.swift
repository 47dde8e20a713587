internal import Rules

/// `mirror` of routes.
extension SnapshotBuilder {
    func readMirror(_ node: NodeID, isMethod: Bool) -> MirrorTerms? {
        guard let fields = checker.fields(node, MirrorKey.self) else { return nil }
        let share = fields[.share].map(readMirrorShare) ?? MirrorTerms.whole
        guard let upstream = fields[.upstream].flatMap(readUpstream) else { return nil }
        if isMethod {
            upstreams[upstream].hasMethodRoutes = true
        } else {
            upstreams[upstream].hasOtherRoutes = true
        }
        return share.map { MirrorTerms(upstream: upstream, share: $0) }
    }

    private func readMirrorShare(_ node: NodeID) -> UInt64? {
        isOff(node) ? 0 : checker.percent(node, "a share")
    }

    /// Copies would take room and connections from the very requests that they are of.
    func checkMirror(
        _ fields: Fields<RouteKey>, _ action: Route.Action, _ terms: Route.Terms
    ) {
        guard let mirror = terms.mirror, let node = fields[.mirror],
            case .forward(let backends) = action,
            backends.backends.contains(where: { $0.upstream == mirror.upstream })
        else { return }
        checker.fail(
            .conflict, node,
            "this route's requests go to upstream '\(upstreams[mirror.upstream].name)' itself",
            expected: "another upstream, which may have the same endpoints")
    }
}
