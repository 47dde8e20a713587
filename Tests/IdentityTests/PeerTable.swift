@testable import Identity

/// Certificates of peers, good and bad.
enum PeerTable {
    static let leaves: [Row] = [
        Row("an X.509-SVID as a client", nil) { try .leaf() },
        Row("an X.509-SVID as a server", nil, as: .server) { try .leaf() },
        Row("P-384", nil) { try .leaf(kind: .ec(curve: "P-384")) },
        Row("P-521", nil) { try .leaf(kind: .ec(curve: "P-521")) },
        Row("Ed25519", nil) { try .leaf(kind: .ed25519) },
        Row("RSA of 2,048 bits", nil) { try .leaf(kind: .rsa(bits: 2_048)) },
        Row("RSA of 1,024 bits", "unreadable") { try .leaf(kind: .rsa(bits: 1_024)) },
        Row("P-224", "unreadable") { try .leaf(kind: .ec(curve: "P-224")) },
        Row("secp256k1", "unreadable") { try .leaf(kind: .ec(curve: "secp256k1")) },
        Row("SHA-1", "unfit") { try .leaf { $0.digest = "SHA1" } },
        Row("MD5", "unfit") {
            // There is no ECDSA with MD5.
            let root = try Forge.root(kind: .rsa(bits: 2_048))
            let leaf = try Forge.leaf(under: root) { $0.digest = "MD5" }
            return Encounter(chain: [leaf.der], bundles: [try Encounter.bundle(root)])
        },
        Row("SHA-384", nil) { try .leaf { $0.digest = "SHA384" } },
        Row("version 1", "unfit") { try .leaf { $0.version = 1 } },
        Row("version 2", "unfit") { try .leaf { $0.version = 2 } },
        Row("serial number 0", "unfit") { try .leaf { $0.serial = [0] } },
        Row("a serial number of 21 bytes", "unfit") {
            try .leaf { $0.serial = [UInt8](repeating: 1, count: 21) }
        },
        .leaf("an authority's certificate", "unfit", "basicConstraints", "critical,CA:TRUE"),
        .leaf("no basic constraints", nil, "basicConstraints", nil),
        .leaf("no authority key identifier", "unfit", "authorityKeyIdentifier", nil),
        .leaf("an unknown critical extension", "unfit", "1.2.3.4", "critical,DER:0500"),
        .leaf("an unknown extension", nil, "1.2.3.4", "DER:0500"),
        .leaf(
            "critical policy constraints", "unfit", "policyConstraints",
            "critical,requireExplicitPolicy:0"),
        .leaf("a broken extension", "unfit", "extendedKeyUsage", "DER:04"),
        Row("names twice", "unfit") {
            try .leaf {
                $0.extensions.append(
                    .init(name: "subjectAltName", value: "URI:spiffe://mesh.test/admin"))
            }
        },
        Row("itself for an authority", "untrusted") {
            let root = try Forge.root()
            let leaf = try Forge.root("self") {
                $0.set("basicConstraints", "critical,CA:FALSE")
                $0.set("keyUsage", "critical,digitalSignature")
                $0.set("subjectAltName", "URI:spiffe://mesh.test/web")
            }
            return Encounter(chain: [leaf.der], bundles: [try Encounter.bundle(root)])
        },
    ]

    static let uses: [Row] = [
        .leaf("no key usage", "unfit", "keyUsage", nil),
        .leaf("key usage that is not critical", "unfit", "keyUsage", "digitalSignature"),
        .leaf("no digitalSignature", "unfit", "keyUsage", "critical,keyAgreement"),
        .leaf("keyCertSign", "unfit", "keyUsage", "critical,digitalSignature,keyCertSign"),
        .leaf("cRLSign", "unfit", "keyUsage", "critical,digitalSignature,cRLSign"),
        .leaf("keyEncipherment too", nil, "keyUsage", "critical,digitalSignature,keyEncipherment"),
        .leaf("no extended key usage", nil, "extendedKeyUsage", nil),
        .leaf("clientAuth alone in an SVID", "unfit", "extendedKeyUsage", "clientAuth"),
        .leaf("serverAuth alone in an SVID", "unfit", "extendedKeyUsage", "serverAuth"),
        .leaf("any usage", "unfit", "extendedKeyUsage", "anyExtendedKeyUsage"),
        .leaf("codeSigning", "unfit", "extendedKeyUsage", "codeSigning"),
        .leaf("an empty extended key usage", "unfit", "extendedKeyUsage", "DER:3000"),
        .leaf(
            "codeSigning too", nil, "extendedKeyUsage", "serverAuth,clientAuth,codeSigning"),
    ]

    static let ids: [Row] = [
        .names("URI:spiffe://mesh.test/web/a-1_2.b", nil),
        .names("URI:spiffe://mesh.test/web,DNS:web.test,DNS:*.web.test", nil),
        .names("URI:spiffe://mesh.test/web,URI:spiffe://mesh.test/admin", "unfit"),
        .names("URI:spiffe://mesh.test/web,URI:https\\://web.test", "unfit"),
        .names("URI:https\\://web.test", "unfit"),
        .names("URI:spiffe://mesh.test", "unfit"), .names("URI:spiffe://mesh.test/", "unfit"),
        .names("URI:spiffe://mesh.test/web/", "unfit"),
        .names("URI:spiffe://mesh.test//web", "unfit"),
        .names("URI:spiffe://mesh.test/./web", "unfit"),
        .names("URI:spiffe://mesh.test/a/../web", "unfit"),
        .names("URI:spiffe://mesh.test/%77eb", "unfit"),
        .names("URI:spiffe://mesh%2etest/web", "unfit"),
        .names("URI:spiffe://mesh.test/web?x", "unfit"),
        .names("URI:spiffe://mesh.test/web#x", "unfit"),
        .names("URI:spiffe://user@mesh.test/web", "unfit"),
        .names("URI:spiffe://mesh.test\\:443/web", "unfit"),
        .names("URI:spiffe://mesh.test/w\u{e9}b", "unfit"),
        .names("URI:spiffe://m\u{e9}sh.test/web", "unfit"),
        .names("URI:spiffe://mesh.test/\(String(repeating: "w", count: 2_029))", nil),
        .names("URI:spiffe://mesh.test/\(String(repeating: "w", count: 2_030))", "unfit"),
        // spiffe://mesh.test/web, a NUL byte, then /x.
        .names(
            "DER:301b86197370696666653a2f2f6d6573682e746573742f776562002f78", "unfit"),
        .names("DER:3000", "unfit"), .names("DER:04", "unfit"),
    ]

    /// Certificates without a URI are known by their DNS names.
    static let others: [Row] = [
        .names("DNS:web.test", nil), .names("email:a@web.test", nil),
        .names("DNS:web test", "unfit"), .names("DNS:w\u{e9}b.test", "unfit"),
        // web.test, a NUL byte, then .evil.test.
        .names("DER:3015821377656200746573742e6576696c2e7465737400", "unfit"),
        Row("DNS names, serverAuth alone, as a server", nil, as: .server) {
            try .leaf {
                $0.set("subjectAltName", "DNS:web.test")
                $0.set("extendedKeyUsage", "serverAuth")
                $0.set("keyUsage", "digitalSignature")
            }
        },
        Row("DNS names, serverAuth alone, as a client", "unfit") {
            try .leaf {
                $0.set("subjectAltName", "DNS:web.test")
                $0.set("extendedKeyUsage", "serverAuth")
            }
        },
        Row("DNS names, clientAuth alone, as a server", "unfit", as: .server) {
            try .leaf {
                $0.set("subjectAltName", "DNS:web.test")
                $0.set("extendedKeyUsage", "clientAuth")
            }
        },
        Row("DNS names, any usage", "unfit") {
            try .leaf {
                $0.set("subjectAltName", "DNS:web.test")
                $0.set("extendedKeyUsage", "anyExtendedKeyUsage")
            }
        },
        Row("DNS names, under the second trust entry", nil) {
            let root = try Forge.root()
            let leaf = try Forge.leaf(under: root) { $0.set("subjectAltName", "DNS:web.test") }
            let other = try Encounter.bundle(Forge.root("other"), name: "other.test")
            return Encounter(chain: [leaf.der], bundles: [other, try Encounter.bundle(root)])
        },
    ]
}
