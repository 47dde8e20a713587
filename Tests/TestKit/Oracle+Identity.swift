/// Who had to be let in by whom, written from the design and not from the proxy's code.
extension Oracle {
    /// Whom the proxy expects behind its upstreams.
    static let expectedPeer = "spiffe://mesh.example/orders"
    /// How long after its last second an identity may still hold: clocks are read in seconds.
    private static let expiryLateness: Int64 = 1_100_000_000

    /// What is wrong with who sent a request that reached an origin, and with who got it.
    func judgeIdentities(_ call: Call, _ attempt: AttemptRecord) -> [String] {
        let terms = policies(from: call.sentAt, to: attempt.startedAt).map(\.mesh)
        var faults: [String] = []
        if clientsSpeakTLS {
            let time = Self.unixTime(call.sentAt - Self.expiryLateness)
            let isGood = terms.contains { terms in
                guard let credential = call.credential else { return !terms.requiresClients }
                return terms.believes(credential, at: time)
            }
            if !isGood { faults.append("is of a client that was not believed") }
        }
        if originsSpeakTLS, let credential = attempt.origin.credential {
            let isGood =
                credential.id == Self.expectedPeer
                && terms.contains {
                    $0.believes(credential, at: Self.unixTime(call.sentAt))
                }
            if !isGood { faults.append("reached a server that was not believed") }
        }
        return faults
    }

    private static func unixTime(_ now: Int64) -> Int64 { Mesh.begin + now / 1_000_000_000 }

    /// Somewhen in that time the proxy may have refused who shows that.
    private func mayBeRefused(
        _ credential: Mesh.Credential?, from start: Int64, to end: Int64
    ) -> Bool {
        policies(from: start, to: end).map(\.mesh).contains { terms in
            guard let credential else { return terms.requiresClients }
            // OpenSSL takes the last second for over.
            return !terms.believes(credential, at: Self.unixTime(end) + 1)
        }
    }

    /// The client's connection may have been refused, or asked to go, for what it had shown.
    func mayBeRefused(_ call: Call) -> Bool {
        guard !isDirect, clientsSpeakTLS else { return false }
        let began = min(call.sentAt, call.client?.beganAt ?? call.sentAt)
        return mayBeRefused(call.credential, from: began, to: call.endedAt)
    }

    /// What is wrong with a connection whose TLS failed.
    func judge(_ refusal: World.Refusal) -> String? {
        let isOther = refusal.credential.map { $0.id == "spiffe://mesh.example/billing" } ?? false
        if isOther || mayBeRefused(refusal.credential, from: refusal.since, to: refusal.at) {
            return nil
        }
        let name = refusal.credential?.id ?? "nobody"
        return "connection \(refusal.connection): TLS failed, with \(name)"
    }

    /// A server that is never refused.
    func isAlwaysGood(_ credential: Mesh.Credential?) -> Bool {
        guard let credential else { return false }
        return credential.id == Self.expectedPeer
            && policies.allSatisfy { $0.mesh.believes(credential, at: Mesh.begin) }
    }
}
