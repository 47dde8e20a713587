import Testing

@testable import Identity

@Suite("Trust bundles")
struct TrustBundleTests {
    @Test("count what they believe, and say when the first of it expires")
    func counts() throws {
        let (one, other) = (try Forge.root("one"), try Forge.root("other"))
        let lists = try Forge.list(of: one) + Forge.list(of: other) { $0.nextUpdate += 1 }
        let bundle = try TrustBundle(
            name: "mesh.test", authorities: one.pem + other.pem, revocations: lists)
        #expect(bundle.authorities.count == 2)
        #expect(bundle.revocationListCount == 2)
        #expect(bundle.expiresAt == Forge.now + Forge.day)
    }

    @Test("have equal digests where they believe the same")
    func digests() throws {
        let root = try Forge.root()
        let list = try Forge.list(of: root)
        let make = { (name: String, authorities: [UInt8], lists: [UInt8]?) in
            try TrustBundle(name: name, authorities: authorities, revocations: lists).digest
        }
        let digest = try make("a", root.pem, nil)
        #expect(try digest == make("a", Array("words\n".utf8) + root.pem, nil))
        #expect(try digest != make("b", root.pem, nil))
        #expect(try digest != make("a", root.pem, list))
        #expect(try digest != make("a", root.pem + Forge.root().pem, nil))
    }

    typealias Files = (authorities: [UInt8], lists: [UInt8]?)

    struct Broken: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let files: @Sendable () throws -> Files
    }

    static let broken = [
        Broken(testDescription: "nothing") { ([], nil) },
        Broken(testDescription: "no certificate") {
            (PEM.text([.init(label: "CERTIFICATE", bytes: [1, 2, 3])]), nil)
        },
        Broken(testDescription: "a private key") { (try Forge.root().key.pem(), nil) },
        Broken(testDescription: "a leaf") { (try Forge.leaf(under: Forge.root()).pem, nil) },
        Broken(testDescription: "a good and a bad one") {
            (try Forge.root().pem + Forge.leaf(under: Forge.root()).pem, nil)
        },
        Broken(testDescription: "a root that may not sign") {
            (try Forge.root { $0.set("keyUsage", "critical,cRLSign") }.pem, nil)
        },
        Broken(testDescription: "a root over SHA-1") {
            (try Forge.root { $0.digest = "SHA1" }.pem, nil)
        },
        Broken(testDescription: "a root of 1,024 bits") {
            (try Forge.root(kind: .rsa(bits: 1_024)).pem, nil)
        },
        Broken(testDescription: "a root of version 1") {
            (try Forge.root { $0.version = 1 }.pem, nil)
        },
        Broken(testDescription: "another trust domain's root") {
            (try Forge.root { $0.set("subjectAltName", "URI:spiffe://other.test") }.pem, nil)
        },
        Broken(testDescription: "lists without a list") { (try Forge.root().pem, []) },
        Broken(testDescription: "a list that another key signed") {
            let root = try Forge.root()
            return (
                root.pem, try Forge.list(of: root, signedBy: CertificateKey.generate(.ed25519))
            )
        },
        Broken(testDescription: "an authority without a list") {
            let root = try Forge.root()
            return (root.pem + (try Forge.root("other").pem), try Forge.list(of: root))
        },
    ]

    @Test("of unfit files are not made", arguments: Self.broken)
    func refuses(broken: Broken) throws {
        let files = try broken.files()
        #expect(throws: CertificateError.self) {
            try TrustBundle(
                name: "mesh.test", authorities: files.authorities, revocations: files.lists)
        }
    }

    @Test("of the machine leave out what does not do, and take roots over SHA-1")
    func system() throws {
        let old = try Forge.root("old") { $0.digest = "SHA1" }
        let weak = try Forge.root("weak", kind: .rsa(bits: 1_024))
        let bundle = try TrustBundle(
            name: "system", authorities: old.pem + weak.pem, origin: .system)
        #expect(bundle.authorities.map(\.fingerprint) == [old.handle.certificate.fingerprint])
        let leaf = try Forge.leaf(under: old) { $0.set("subjectAltName", "DNS:web.test") }
        let result = PeerVerification.verify(
            chain: [leaf.der], bundles: [bundle], purpose: .server, at: Forge.now)
        #expect(try result.get().dnsNames == ["web.test"])
    }
}
