internal import Configuration
internal import Rules
internal import Wire

/// Which endpoints this worker checks.
extension Worker {
    private struct CheckKey: Hashable {
        let upstream: String
        let address: SocketAddress
    }

    /// Upstreams or their endpoints have changed: begins and ends checks.
    func syncChecks() {
        let isAsked = pools.contains { !$0.isRetired && $0.terms.conduct.healthCheck != nil }
        guard isAsked || !checks.isEmpty else { return }
        var known: [CheckKey: EndpointCheck] = [:]
        for check in checks {
            known[CheckKey(upstream: check.upstream, address: check.address)] = check
        }
        var next: [EndpointCheck] = []
        var began: [EndpointCheck] = []
        for pool in pools where !pool.isRetired {
            guard let terms = pool.terms.conduct.healthCheck else { continue }
            for endpoint in pool.endpoints {
                if !terms.usesUnchecked { endpoint.record.check(terms) }
                guard isMine(pool.name, endpoint.address) else { continue }
                let key = CheckKey(upstream: pool.name, address: endpoint.address)
                if let check = known[key], check.isStill(pool) {
                    known[key] = nil
                    next.append(check)
                } else {
                    endpoint.record.check(terms)
                    let check = EndpointCheck(endpoint.record, pool, terms, self)
                    next.append(check)
                    began.append(check)
                }
            }
        }
        let kept = Set(next.map { CheckKey(upstream: $0.upstream, address: $0.address) })
        for check in checks {
            let key = CheckKey(upstream: check.upstream, address: check.address)
            guard known[key] != nil else { continue }
            if !kept.contains(key) { check.record.check(nil) }
            retire(check)
        }
        checks = next
        for check in began { check.begin(self) }
    }

    private func retire(_ check: EndpointCheck) {
        check.retire(self)
        retiredChecks.append(check)
        hasRetiredChecks = true
    }

    func letChecksGo() {
        retiredChecks.removeAll { $0.isOver(workspace) }
        hasRetiredChecks = !retiredChecks.isEmpty
    }

    func stopChecks() {
        for check in checks { retire(check) }
        checks = []
    }

    /// One worker for each endpoint, the same in all of them: FNV-1a.
    private func isMine(_ upstream: String, _ address: SocketAddress) -> Bool {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in "\(upstream) \(address)".utf8 {
            hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3
        }
        return hash % UInt64(max(loads.count, 1)) == UInt64(index)
    }
}
