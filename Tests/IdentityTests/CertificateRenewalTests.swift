import Testing

@testable import Identity

@Suite("Renewals")
struct CertificateRenewalTests {
    private static let day = Forge.day
    private static let now = Forge.now

    /// An authority, and what it has issued to a workload.
    private struct Scene {
        var authority: CertificateAuthority
        let names: CertificateNames

        init() throws {
            authority = try CertificateAuthority(
                trustDomain: "mesh.test", kind: .p256, lifetime: 365 * day, at: now)
            names = try CertificateNames(
                spiffeID: SPIFFEID("spiffe://mesh.test/web"), dnsNames: ["web.test"])
        }

        mutating func identity(_ kind: PrivateKey.Kind = .p256) throws -> LocalIdentity {
            let key = try PrivateKey.generate(kind)
            let chain = try authority.issue(
                names, publicKey: key.publicKey, lifetime: day, at: now)
            return try LocalIdentity(
                certificate: PEM.text(
                    chain.map { .init(label: Certificate.label, bytes: $0.der) }),
                privateKey: key.pem, at: now)
        }

        mutating func renew(
            _ renewal: CertificateRenewal, at time: Int64 = now
        ) throws -> [Certificate] {
            try authority.renew(renewal, lifetimeMax: 2 * day, at: time)
        }
    }

    @Test(
        "give the next certificate for the same names and life",
        arguments: PrivateKey.Kind.allCases, PrivateKey.Kind.allCases)
    func renews(old: PrivateKey.Kind, new: PrivateKey.Kind) throws {
        var scene = try Scene()
        let current = try scene.identity(old)
        let key = try PrivateKey.generate(new)
        let renewal = try CertificateRenewal(of: current, newKey: key)
        let chain = try scene.renew(renewal, at: Self.now + 3_600)
        #expect(try chain[0].spiffeID() == current.spiffeID)
        #expect(chain[0].dnsNames == ["web.test"])
        #expect(chain[0].notAfter == Self.now + 3_600 + Self.day)
        #expect(key.fits(chain[0]))
    }

    @Test("are refused to who lacks the current key, or is not in force any more")
    func refuses() throws {
        var scene = try Scene()
        let current = try scene.identity()
        let newKey = try PrivateKey.generate(.p256)
        let good = try CertificateRenewal(of: current, newKey: newKey)
        let other = try CertificateRenewal(of: current, newKey: .generate(.p256))
        let edwards = try CertificateRenewal(of: scene.identity(.ed25519), newKey: newKey)
        let bad = [
            CertificateRenewal(
                certificate: good.certificate, request: good.request, proof: other.proof),
            CertificateRenewal(
                certificate: good.certificate, request: other.request, proof: good.proof),
            CertificateRenewal(
                certificate: edwards.certificate, request: good.request, proof: good.proof),
            CertificateRenewal(certificate: good.certificate, request: good.request, proof: []),
            CertificateRenewal(certificate: [], request: good.request, proof: good.proof),
            CertificateRenewal(certificate: good.certificate, request: [1], proof: good.proof),
        ]
        for renewal in bad {
            #expect(throws: CertificateError.self) { try scene.renew(renewal) }
        }
        #expect(throws: CertificateError.self) {
            try scene.renew(good, at: Self.now + Self.day + 1)
        }
        let serial = try Certificate(der: good.certificate).serial
        #expect(try scene.authority.revoke(serial: serial, at: Self.now))
        #expect(throws: CertificateError.self) { try scene.renew(good) }
    }

    @Test("are for the same life again, however short", arguments: [1, 6, 25, 60, 2_999, 3_600])
    func lives(lifetime: Int64) throws {
        var scene = try Scene()
        var key = try PrivateKey.generate(.p256)
        var chain = try scene.authority.issue(
            scene.names, publicKey: key.publicKey, lifetime: lifetime, at: Self.now)
        for _ in 0..<3 {
            let current = try LocalIdentity(
                certificate: PEM.text([.init(label: Certificate.label, bytes: chain[0].der)]),
                privateKey: key.pem, at: Self.now)
            key = try PrivateKey.generate(.p256)
            chain = try scene.renew(CertificateRenewal(of: current, newKey: key))
            #expect(chain[0].notAfter == Self.now + lifetime)
        }
    }

    @Test("are for the caller's own names")
    func names() throws {
        var scene = try Scene()
        let current = try scene.identity()
        let key = try CertificateKey(pem: current.privateKeyPEM)
        let wrong = [
            "URI:spiffe://mesh.test/admin", "URI:spiffe://mesh.test/web,DNS:admin.test",
            "DNS:web.test",
        ]
        for names in wrong {
            let newKey = try CertificateKey.generate(.ec(curve: "P-256"))
            let request = try RequestHandle.make(names: names, key: newKey)
            let unproven = CertificateRenewal(
                certificate: current.chain[0], request: request, proof: [])
            let proof = try #require(key.sign(unproven.statement))
            let renewal = CertificateRenewal(
                certificate: current.chain[0], request: request, proof: proof)
            #expect(renewal.isProven)
            #expect(throws: CertificateError.self) { try scene.renew(renewal) }
        }
    }
}
