internal import Configuration
internal import Identity

/// What the other end of a connection must prove.
struct PeerExpectation {
    /// Whom Weir believes about it.
    let bundles: [TrustBundle]
    let purpose: PeerVerification.Purpose
    /// Who it must be: any of these; with neither these nor `dnsName`, anybody who is believed.
    let patterns: [PeerPattern]
    /// The DNS name that its certificate must have.
    let dnsName: String?

    /// Judges a chain in DER, the leaf first, at a time in seconds since 1970.
    func judge(_ chain: [[UInt8]], at now: Int64) -> Result<PeerIdentity, TLSFailure> {
        switch PeerVerification.verify(chain: chain, bundles: bundles, purpose: purpose, at: now) {
        case .failure(let refusal): return .failure(.peer(refusal))
        case .success(let peer):
            if let dnsName, !peer.carries(serverName: dnsName) {
                return .failure(.otherPeer("not issued for \(dnsName)"))
            }
            if !patterns.isEmpty, !patterns.contains(where: { $0.matches(peer) }) {
                let name = peer.spiffeID?.description ?? peer.dnsNames.first ?? "nameless"
                return .failure(.otherPeer("\(name) is not expected here"))
            }
            return .success(peer)
        }
    }
}
