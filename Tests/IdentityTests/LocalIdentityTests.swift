import Testing

@testable import Identity

@Suite("Identities of our own")
struct LocalIdentityTests {
    private static func identity(
        _ certificate: [UInt8], _ key: [UInt8]
    ) throws(CertificateError) -> LocalIdentity {
        try LocalIdentity(certificate: certificate, privateKey: key, at: Forge.now)
    }

    @Test("are read from a chain and its key, in one file or two", arguments: [true, false])
    func reads(isOneFile: Bool) throws {
        let between = try Forge.intermediate(under: Forge.root()) { $0.notAfter -= 1 }
        let leaf = try Forge.leaf(under: between) {
            $0.notBefore += 1
            $0.set("subjectAltName", "URI:spiffe://mesh.test/web,DNS:Web.test,DNS:*.web.test")
        }
        let key = try leaf.key.pem()
        let chain = leaf.pem + between.pem
        let identity = try Self.identity(
            isOneFile ? key + chain : chain, isOneFile ? key + chain : key)
        #expect(identity.spiffeID?.description == "spiffe://mesh.test/web")
        #expect(identity.dnsNames == ["web.test", "*.web.test"])
        #expect(identity.notBefore == Forge.now - Forge.day + 1)
        #expect(identity.notAfter == Forge.now + 30 * Forge.day - 1)
        #expect(identity.certificatePEM == chain)
        #expect(identity.chain == [leaf.der, between.der])
        #expect(identity.serves && identity.calls)
        #expect(try identity.digest == Self.identity(chain, key).digest)
    }

    @Test(
        "take keys of every kind that peers may have",
        arguments: [
            CertificateKey.Kind.ec(curve: "P-384"), .ec(curve: "P-521"), .ed25519,
            .rsa(bits: 2_048),
        ])
    func kinds(kind: CertificateKey.Kind) throws {
        let leaf = try Forge.leaf(under: Forge.root(), kind: kind)
        _ = try Self.identity(leaf.pem, leaf.key.pem())
    }

    @Test("say what they are not for")
    func purposes() throws {
        let leaf = try Forge.leaf(under: Forge.root()) {
            $0.set("subjectAltName", "DNS:web.test")
            $0.set("extendedKeyUsage", "serverAuth")
        }
        let identity = try Self.identity(leaf.pem, leaf.key.pem())
        #expect(identity.serves && !identity.calls)
        #expect(identity.spiffeID == nil)
    }

    @Test("know another's key")
    func keys() throws {
        let root = try Forge.root()
        let (one, other) = (try Forge.leaf(under: root), try Forge.leaf(under: root))
        #expect(throws: CertificateError.keyDoesNotFit) {
            try Self.identity(one.pem, other.key.pem())
        }
        let edwards = try CertificateKey.generate(.ed25519)
        #expect(throws: CertificateError.keyDoesNotFit) {
            try Self.identity(one.pem, edwards.pem())
        }
    }

    @Test("know dates from other faults")
    func dates() throws {
        let expired = try Forge.leaf(under: Forge.root()) { $0.notAfter = Forge.now - 1 }
        #expect(throws: CertificateError.expired(subject: Self.web, since: Forge.now - 1)) {
            try Self.identity(expired.pem, expired.key.pem())
        }
        let early = try Forge.leaf(under: Forge.root()) { $0.notBefore = Forge.now + 1 }
        #expect(throws: CertificateError.notYetValid(subject: Self.web, until: Forge.now + 1)) {
            try Self.identity(early.pem, early.key.pem())
        }
        let words = CertificateError.expired(subject: Self.web, since: Forge.now - 1).description
        #expect(words == "the certificate of \(Self.web) expired at 2027-01-15T07:59:59Z")
    }

    private static let web = "spiffe://mesh.test/web"

    struct Broken: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let words: String
        let files: @Sendable () throws -> (certificate: [UInt8], key: [UInt8])
    }

    private static func leaf(
        _ words: String, _ name: String, _ value: String?
    ) -> Broken {
        Broken(testDescription: "\(name) \(value ?? "missing")", words: words) {
            let leaf = try Forge.leaf(under: Forge.root()) { $0.set(name, value) }
            return (leaf.pem, try leaf.key.pem())
        }
    }

    static let broken: [Broken] = [
        leaf("keyCertSign", "keyUsage", "critical,digitalSignature,keyCertSign"),
        leaf("CA:TRUE", "basicConstraints", "critical,CA:TRUE"),
        leaf("neither serverAuth nor", "extendedKeyUsage", "codeSigning"),
        leaf("both serverAuth and", "extendedKeyUsage", "serverAuth"),
        leaf("SPIFFE ID", "subjectAltName", "URI:spiffe://mesh.test/a/../b"),
        Broken(testDescription: "nothing", words: "no certificate") { ([], []) },
        Broken(testDescription: "no key", words: "no private key") {
            let leaf = try Forge.leaf(under: Forge.root())
            return (leaf.pem, leaf.pem)
        },
        Broken(testDescription: "two keys", words: "2 private keys") {
            let leaf = try Forge.leaf(under: Forge.root())
            return (leaf.pem, try leaf.key.pem() + leaf.key.pem())
        },
        Broken(testDescription: "an encrypted key", words: "must not be encrypted") {
            let leaf = try Forge.leaf(under: Forge.root())
            return (leaf.pem, PEM.text([.init(label: "ENCRYPTED PRIVATE KEY", bytes: [1])]))
        },
        Broken(testDescription: "a broken key", words: "private key cannot be read") {
            let leaf = try Forge.leaf(under: Forge.root())
            return (leaf.pem, PEM.text([.init(label: "PRIVATE KEY", bytes: [1])]))
        },
        Broken(testDescription: "a chain in no order", words: "not in order") {
            let root = try Forge.root()
            let between = try Forge.intermediate(under: root)
            let leaf = try Forge.leaf(under: between)
            return (leaf.pem + root.pem + between.pem, try leaf.key.pem())
        },
        Broken(testDescription: "another authority of that name", words: "not in order") {
            let leaf = try Forge.leaf(under: Forge.root())
            return (leaf.pem + (try Forge.root().pem), try leaf.key.pem())
        },
        Broken(testDescription: "another leaf behind it", words: "no authority") {
            let root = try Forge.root()
            let leaf = try Forge.leaf(under: root)
            return (leaf.pem + (try Forge.leaf(under: root).pem), try leaf.key.pem())
        },
        Broken(testDescription: "a weak key", words: "1024 bits") {
            let leaf = try Forge.leaf(under: Forge.root(), kind: .rsa(bits: 1_024))
            return (leaf.pem, try leaf.key.pem())
        },
    ]

    @Test("of unfit files are not made, and the reason is said", arguments: Self.broken)
    func refuses(broken: Broken) throws {
        let files = try broken.files()
        do throws(CertificateError) {
            _ = try Self.identity(files.certificate, files.key)
            Issue.record("it was made")
        } catch {
            #expect(error.description.contains(broken.words), "\(error)")
        }
    }
}
