import Testing

@testable import Identity

@Suite("Requests for certificates")
struct CertificateRequestTests {
    @Test("are signed with their key", arguments: PrivateKey.Kind.allCases)
    func signed(kind: PrivateKey.Kind) throws {
        let key = try PrivateKey.generate(kind)
        let names = try CertificateNames(
            spiffeID: SPIFFEID("spiffe://mesh.test/web"), dnsNames: ["web.test", "*.web.test"])
        let request = try CertificateRequest(names, key: key)
        let read = try CertificateRequest(pem: request.pem)
        #expect(read == request)
        #expect(read.publicKey == key.publicKey)
        #expect(read.spiffeID == names.spiffeID)
        #expect(read.dnsNames == names.dnsNames)
        var forged = request.der
        forged[forged.count - 1] ^= 1
        #expect(throws: CertificateError.self) { try CertificateRequest(der: forged) }
    }

    @Test(
        "for what is no name or ID are refused",
        arguments: [
            "URI:https\\://web.test", "URI:spiffe://mesh.test/web,URI:spiffe://mesh.test/admin",
            "URI:spiffe://mesh.test/%77eb", "DNS:w b.test", "DER:04",
        ])
    func refuses(names: String) throws {
        let key = try CertificateKey.generate(.ec(curve: "P-256"))
        let der = try RequestHandle.make(names: names, key: key)
        #expect(throws: CertificateError.self) { try CertificateRequest(der: der) }
    }

    @Test("with weak keys are refused")
    func weak() throws {
        let key = try CertificateKey.generate(.rsa(bits: 1_024))
        let der = try RequestHandle.make(names: "", key: key)
        #expect(throws: CertificateError.self) { try CertificateRequest(der: der) }
    }

    @Test(
        "names of certificates are checked",
        arguments: [
            ("web.test", true), ("*.web.test", true), ("WEB.test", true), ("localhost", true),
            ("", false), ("*", false), ("*.test", false), ("a.*.test", false), ("a,b", false),
            ("-a.test", false), ("a..test", false), ("a_b.test", false), (".test", false),
            ("a.test,URI:spiffe://mesh.test/admin", false), ("w\u{e9}b.test", false),
            (String(repeating: "a", count: 64), false),
        ])
    func names(name: String, isName: Bool) throws {
        let id = try SPIFFEID("spiffe://mesh.test/web")
        let names = try? CertificateNames(spiffeID: id, dnsNames: [name])
        #expect((names != nil) == isName)
    }
}
