import Testing

@testable import Identity

@Suite("A certificate authority")
struct CertificateAuthorityTests {
    private static let day = Forge.day
    private static let now = Forge.now

    private static func authority(
        _ kind: PrivateKey.Kind = .p256
    ) throws -> CertificateAuthority {
        try CertificateAuthority(
            trustDomain: "mesh.test", kind: kind, lifetime: 365 * day, at: now)
    }

    private static let web = Result { () throws(CertificateError) in
        guard let id = try? SPIFFEID("spiffe://mesh.test/web") else { throw .unfit("") }
        return try CertificateNames(spiffeID: id, dnsNames: ["web.test"])
    }

    private static func issue(
        _ authority: inout CertificateAuthority, kind: PrivateKey.Kind = .p256,
        lifetime: Int64 = day, at time: Int64 = now
    ) throws -> (chain: [Certificate], key: PrivateKey) {
        let key = try PrivateKey.generate(kind)
        let chain = try authority.issue(
            web.get(), publicKey: key.publicKey, lifetime: lifetime, at: time)
        return (chain, key)
    }

    private static func verify(
        _ chain: [Certificate], bundle: [UInt8], lists: [UInt8]? = nil, at time: Int64 = now
    ) throws -> Result<PeerIdentity, PeerRefusal> {
        let bundle = try TrustBundle(name: "mesh.test", authorities: bundle, revocations: lists)
        return PeerVerification.verify(
            chain: chain.map(\.der), bundles: [bundle], purpose: .client, at: time)
    }

    @Test(
        "issues what peers verify and what is an identity of our own",
        arguments: PrivateKey.Kind.allCases, PrivateKey.Kind.allCases)
    func issues(root: PrivateKey.Kind, leaf: PrivateKey.Kind) throws {
        var authority = try Self.authority(root)
        let (chain, key) = try Self.issue(&authority, kind: leaf)
        let lists = try authority.revocationLists(lifetime: Self.day, at: Self.now)
        let peer = try Self.verify(chain, bundle: authority.bundle, lists: lists).get()
        #expect(peer.spiffeID?.description == "spiffe://mesh.test/web")
        #expect(peer.dnsNames == ["web.test"])
        #expect(peer.expiresAt == Self.now + Self.day)
        let identity = try LocalIdentity(
            certificate: PEM.text(chain.map { .init(label: Certificate.label, bytes: $0.der) }),
            privateKey: key.pem, at: Self.now)
        #expect(identity.spiffeID == peer.spiffeID)
    }

    @Test("revokes by serial number, and knows what is in force")
    func revokes() throws {
        var authority = try Self.authority()
        let (one, _) = try Self.issue(&authority)
        let (other, _) = try Self.issue(&authority)
        #expect(try authority.recordInForce(of: one[0], at: Self.now).names == Self.web.get())
        #expect(try authority.revoke(serial: one[0].serial, at: Self.now))
        #expect(try !authority.revoke(serial: one[0].serial, at: Self.now))
        let lists = try authority.revocationLists(lifetime: Self.day, at: Self.now)
        let refused = try Self.verify(one, bundle: authority.bundle, lists: lists)
        #expect(refused == .failure(.revoked(subject: "spiffe://mesh.test/web")))
        _ = try Self.verify(other, bundle: authority.bundle, lists: lists).get()
        #expect(throws: CertificateError.self) {
            try authority.recordInForce(of: one[0], at: Self.now)
        }
        #expect(throws: CertificateError.self) {
            try authority.recordInForce(of: other[0], at: Self.now + 2 * Self.day)
        }
        #expect(throws: CertificateError.self) { try authority.revoke(serial: [1], at: Self.now) }
    }

    @Test("knows its own certificates from those of a namesake")
    func namesake() throws {
        var (authority, other) = (try Self.authority(), try Self.authority())
        let (chain, _) = try Self.issue(&other)
        #expect(throws: CertificateError.self) {
            try authority.recordInForce(of: chain[0], at: Self.now)
        }
        _ = try Self.issue(&authority)
    }

    @Test("rotates its root: old and new leaves do, before and after its peers know of it")
    func rotates() throws {
        var authority = try Self.authority()
        let (old, _) = try Self.issue(&authority)
        let before = authority.bundle
        try authority.rotateRoot(kind: .ed25519, lifetime: 365 * Self.day, at: Self.now)
        let (new, _) = try Self.issue(&authority)
        let after = authority.bundle
        let lists = try authority.revocationLists(lifetime: Self.day, at: Self.now)
        for chain in [old, new] {
            _ = try Self.verify(chain, bundle: before).get()
            // Whose lists came before the roots.
            _ = try Self.verify(chain, bundle: before, lists: lists).get()
            _ = try Self.verify(chain, bundle: after, lists: lists).get()
        }
        #expect(throws: CertificateError.self) {
            try authority.retireRoots(isForced: false, at: Self.now)
        }
        let later = Self.now + 2 * Self.day
        #expect(try authority.retireRoots(isForced: false, at: later) == [1])
        let (last, _) = try Self.issue(&authority, at: later)
        #expect(last.count == 1)
        _ = try Self.verify(last, bundle: authority.bundle, at: later).get()
        _ = try Self.verify(last, bundle: after, at: later).get()
        #expect(try Self.verify(old, bundle: authority.bundle).isRefused)
    }

    @Test("issues nothing outside of its domain, for no time or too long")
    func refuses() throws {
        var authority = try Self.authority()
        let key = try PrivateKey.generate(.p256).publicKey
        let evil = try CertificateNames(spiffeID: SPIFFEID("spiffe://mesh.test.evil.com/web"))
        #expect(throws: CertificateError.self) {
            try authority.issue(evil, publicKey: key, lifetime: Self.day, at: Self.now)
        }
        let web = try Self.web.get()
        for lifetime in [0, -1, CertificateAuthority.leafLifetimeMax + 1, .max] {
            #expect(throws: CertificateError.self) {
                try authority.issue(web, publicKey: key, lifetime: lifetime, at: Self.now)
            }
        }
        #expect(throws: CertificateError.self) {
            try authority.issue(web, publicKey: [1, 2], lifetime: 1, at: Self.now)
        }
        let weak = try CertificateKey.generate(.rsa(bits: 1_024)).publicKey()
        #expect(throws: CertificateError.self) {
            try authority.issue(web, publicKey: weak, lifetime: Self.day, at: Self.now)
        }
        #expect(authority.index.records.isEmpty)
        #expect(throws: CertificateError.self) {
            try authority.issue(
                web, publicKey: key, lifetime: 1, at: Self.now + 366 * Self.day)
        }
    }

    @Test("no leaf outlives its root")
    func lifetimes() throws {
        var authority = try Self.authority()
        let (chain, _) = try Self.issue(
            &authority, lifetime: 30 * Self.day, at: Self.now + 360 * Self.day)
        #expect(chain[0].notAfter == Self.now + 365 * Self.day)
    }

    @Test("keeps its index as text")
    func index() throws {
        var authority = try Self.authority()
        let (chain, _) = try Self.issue(&authority)
        _ = try Self.issue(&authority)
        _ = try authority.revoke(serial: chain[0].serial, at: Self.now)
        _ = try authority.revocationLists(lifetime: Self.day, at: Self.now)
        let read = try AuthorityIndex(text: authority.index.text)
        #expect(read == authority.index)
        let again = try CertificateAuthority(index: read, roots: authority.roots)
        #expect(again.bundle == authority.bundle)
        #expect(throws: CertificateError.self) {
            try CertificateAuthority(index: read, roots: [])
        }
    }

    @Test(
        "refuses a broken index",
        arguments: [
            "", "weir-ca 1\n", "weir-ca 2\ndomain a\nlists 0\nroot 1\n",
            "weir-ca 1\ndomain a/b\nlists 0\nroot 1\n", "weir-ca 1\ndomain a\nlists -1\nroot 1\n",
            "weir-ca 1\ndomain a\nlists 0\n", "weir-ca 1\ndomain a\nlists 0\nroot 1\nroot 1\n",
            "weir-ca 1\ndomain a\nlists 0\nroot 1", "weir-ca 1\ndomain a\nlists 0\nroot 1\n\n",
            "weir-ca 1\ndomain a\nlists 0\nroot 1\nissued 2a 1 0 0 -\n",
            "weir-ca 1\ndomain a\nlists 0\nroot 1\nissued 2a 1 0 0 x spiffe://a/b\n",
            "weir-ca 1\ndomain a\nlists 0\nroot 1\nissued 2a 1 0 0 - spiffe://a/b \n",
        ])
    func brokenIndex(text: String) {
        #expect(throws: CertificateError.self) { try AuthorityIndex(text: Array(text.utf8)) }
    }

    @Test("forgets what expired")
    func forgets() throws {
        var authority = try Self.authority()
        _ = try Self.issue(&authority)
        _ = try Self.issue(&authority, at: Self.now + 3 * Self.day)
        #expect(authority.index.records.count == 1)
    }

    @Test("makes no domain of what is none", arguments: ["", "a/b", "a:1", "a b", "\u{e9}"])
    func domains(name: String) {
        #expect(throws: CertificateError.self) {
            try CertificateAuthority(
                trustDomain: name, kind: .p256, lifetime: Self.day, at: Self.now)
        }
    }
}

extension Result {
    fileprivate var isRefused: Bool {
        if case .failure = self { true } else { false }
    }
}
