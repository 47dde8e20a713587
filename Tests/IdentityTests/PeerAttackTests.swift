import Testing

@testable import Identity

/// What docs/threat-model.md says of certificates, row by row.
@Suite("Peers with certificates")
struct PeerAttackTests {
    @Test(
        "are let in or refused",
        arguments: PeerTable.leaves + PeerTable.uses + PeerTable.ids + PeerTable.others)
    func leaves(row: Row) throws { try expect(row) }

    @Test(
        "are judged by their path",
        arguments: PeerTable.paths + PeerTable.constraints + PeerTable.times)
    func paths(row: Row) throws { try expect(row) }

    @Test("are judged by the right trust entry", arguments: PeerTable.domains)
    func domains(row: Row) throws { try expect(row) }

    @Test("are looked up in revocation lists", arguments: PeerTable.revocations)
    func revocations(row: Row) throws { try expect(row) }

    private func expect(_ row: Row) throws {
        switch try row.result() {
        case .success(let peer):
            #expect(row.reason == nil, "let in: \(peer)")
        case .failure(let refusal):
            #expect(row.reason == refusal.reason, "\(refusal)")
        }
    }

    @Test("without a URI are not known by their subject")
    func subject() throws {
        let row = Row.leaf("no names", nil, "subjectAltName", nil)
        let peer = try row.result().get()
        #expect(peer.spiffeID == nil && peer.dnsNames.isEmpty)
    }

    @Test("are who their certificates say, until the first of the path expires")
    func identity() throws {
        let root = try Forge.root { $0.notAfter = Forge.now + 2 * Forge.day }
        let between = try Forge.intermediate(under: root) { $0.notAfter = Forge.now + Forge.day }
        let leaf = try Forge.leaf(under: between) {
            $0.set("subjectAltName", "URI:spiffe://Mesh.Test/Web,DNS:Web.Test")
        }
        let peer = try PeerVerification.verify(
            chain: [leaf.der, between.der], bundles: [try Encounter.bundle(root)],
            purpose: .client, at: Forge.now
        ).get()
        #expect(peer.spiffeID?.description == "spiffe://mesh.test/Web")
        #expect(peer.dnsNames == ["web.test"])
        #expect(peer.trust == "mesh.test")
        #expect(peer.expiresAt == Forge.now + Forge.day)
        #expect(peer.fingerprint == leaf.handle.certificate.fingerprint)
        #expect(peer.carries(serverName: "web.test"))
    }
}
