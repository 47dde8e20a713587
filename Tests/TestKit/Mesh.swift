import Identity

/// The mesh that simulated worlds with TLS live in: a trust domain whose authority has changed its
/// root, and a stranger's authority that calls itself the same. Made once for a process.
///
/// All keys are Ed25519, whose certificates and signatures always have the same lengths: histories
/// do not depend on what is in them.
enum Mesh {
    enum Root: CaseIterable, Sendable { case first, second, stranger }

    /// What somebody shows, and to whom it proves something.
    struct Credential: Sendable {
        /// PEM, the chain included.
        let certificate: [UInt8]
        let key: [UInt8]
        let id: String
        /// It is believed under each of these.
        let roots: Set<Root>
        /// The last second in which it is, since 1970.
        let expiresAt: Int64

        /// For `weir` and those that must not fail: both roots, and for long.
        var isLasting: Bool { roots.isSuperset(of: [.first, .second]) && expiresAt > Mesh.end }
    }

    /// When the world's clock stands at 0, and later than any history goes.
    static let begin: Int64 = 1_767_225_600
    private static let end = begin + 3_600

    struct Failure: Error {}

    static let shared = Result { try Made() }

    /// Everything there is.
    struct Made: Sendable {
        let authorities: [Root: [UInt8]]
        let weir: [Credential]
        let orders: [Credential]
        /// A server that is somebody else.
        let billing: Credential
        let web: [Credential]
        let batch: Credential
        let reports: Credential
        /// Expires while the world goes on.
        let brief: Credential
        let expired: Credential
        let stranger: Credential

        init() throws {
            let now = Mesh.begin - 20 * 86_400
            let lifetime: Int64 = 400 * 86_400
            var first = try CertificateAuthority(
                trustDomain: "mesh.example", kind: .ed25519, lifetime: lifetime, at: now)
            var strange = try CertificateAuthority(
                trustDomain: "mesh.example", kind: .ed25519, lifetime: lifetime, at: now)
            var second = first
            try second.rotateRoot(kind: .ed25519, lifetime: lifetime, at: now)
            authorities = try [
                .first: first.bundle, .stranger: strange.bundle,
                .second: second.bundle(afterRetirementAt: now),
            ]
            let both: Set<Root> = [.first, .second]
            weir = try [
                Credential("weir", from: &first, [.first]), Credential("weir", from: &second, both),
            ]
            orders = try [
                Credential("orders", from: &first, [.first]),
                Credential("orders", from: &second, both),
            ]
            billing = try Credential("billing", from: &second, both)
            web = try [
                Credential("web", from: &first, [.first]), Credential("web", from: &second, both),
                Credential("web", from: &second, [.second], withChain: false),
            ]
            batch = try Credential("batch", from: &second, both)
            reports = try Credential("web/reports", from: &first, [.first])
            brief = try Credential("web", from: &second, both, until: Mesh.begin + 2)
            expired = try Credential("web", from: &second, both, until: Mesh.begin - 60)
            stranger = try Credential("web", from: &strange, [.stranger])
        }
    }
}

extension CertificateAuthority {
    /// The bundle of the last root alone.
    fileprivate func bundle(afterRetirementAt now: Int64) throws -> [UInt8] {
        var later = self
        _ = try later.retireRoots(isForced: true, at: now)
        return later.bundle
    }
}

extension Mesh.Credential {
    fileprivate init(
        _ name: String, from authority: inout CertificateAuthority, _ roots: Set<Mesh.Root>,
        until end: Int64 = Mesh.begin + 30 * 86_400, withChain: Bool = true
    ) throws {
        let id = try SPIFFEID("spiffe://mesh.example/\(name)")
        let key = try PrivateKey.generate(.ed25519)
        let names = try CertificateNames(spiffeID: id, dnsNames: ["weir.example"])
        let start = Mesh.begin - 86_400
        let chain = try authority.issue(
            names, publicKey: key.publicKey, lifetime: end - start, at: start)
        let blocks = chain.prefix(withChain ? chain.count : 1).map {
            PEM.Block(label: Certificate.label, bytes: $0.der)
        }
        certificate = PEM.text(blocks)
        self.key = key.pem
        self.id = id.description
        self.roots = roots
        expiresAt = chain[0].notAfter
    }
}
