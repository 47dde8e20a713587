@testable import Identity

extension PeerTable {
    /// A leaf below one authority below the root, each changed.
    private static func below(
        _ change: Forge.Change, leaf: Forge.Change = { _ in }, root: Forge.Change = { _ in }
    ) throws -> Encounter {
        let root = try Forge.root("mesh.test", kind: .ec(curve: "P-256"), root)
        let between = try Forge.intermediate(under: root, "between", change)
        let leaf = try Forge.leaf(under: between, leaf)
        return Encounter(
            chain: [leaf.der, between.der], bundles: [try Encounter.bundle(root)])
    }

    static let paths: [Row] = [
        Row("an authority between", nil) { try below { _ in } },
        Row("an authority between that was not sent", "untrusted") {
            var encounter = try below { _ in }
            encounter.chain.removeLast()
            return encounter
        },
        Row("others' certificates sent too", nil) {
            var encounter = try below { _ in }
            encounter.chain.insert(try Forge.root("stranger").der, at: 1)
            return encounter
        },
        Row("the authority's certificate first", "unfit") {
            var encounter = try below { _ in }
            encounter.chain.reverse()
            return encounter
        },
        Row("an issuer with CA:FALSE", "unfit") {
            try below { $0.set("basicConstraints", "critical,CA:FALSE") }
        },
        Row("an issuer without basic constraints", "unfit") {
            try below { $0.set("basicConstraints", nil) }
        },
        Row("an issuer without keyCertSign", "unfit") {
            try below { $0.set("keyUsage", "critical,cRLSign") }
        },
        Row("an issuer without key usage", "unfit") { try below { $0.set("keyUsage", nil) } },
        Row("an issuer of version 1", "unfit") { try below { $0.version = 1 } },
        Row("an issuer signed over SHA-1", "unfit") { try below { $0.digest = "SHA1" } },
        Row("an issuer for servers alone", "unfit") {
            try below { $0.set("extendedKeyUsage", "serverAuth") }
        },
        Row("an issuer with an unknown critical extension", "unfit") {
            try below { $0.set("1.2.3.4", "critical,DER:0500") }
        },
        Row("a leaf as issuer", "unfit") {
            let root = try Forge.root()
            let leaf = try Forge.leaf(under: root)
            let below = try Forge.leaf(under: leaf)
            return Encounter(
                chain: [below.der, leaf.der], bundles: [try Encounter.bundle(root)])
        },
        Row("too long a path", "unfit") {
            try below({ _ in }, root: { $0.set("basicConstraints", "critical,CA:TRUE,pathlen:0") })
        },
        Row("as long a path as is allowed", nil) {
            try below({ _ in }, root: { $0.set("basicConstraints", "critical,CA:TRUE,pathlen:1") })
        },
        Row("another authority of the same name", "untrusted") {
            let leaf = try Forge.leaf(under: Forge.root())
            return Encounter(chain: [leaf.der], bundles: [try Encounter.bundle(Forge.root())])
        },
        Row("another authority of the same name, sent too", "untrusted") {
            let rogue = try Forge.root()
            let leaf = try Forge.leaf(under: rogue)
            return Encounter(
                chain: [leaf.der, rogue.der], bundles: [try Encounter.bundle(Forge.root())])
        },
        Row("a changed byte in the signature", "untrusted") {
            var encounter = try Encounter.leaf()
            encounter.chain[0][encounter.chain[0].count - 1] ^= 1
            return encounter
        },
        Row("bytes behind the end", "unreadable") {
            var encounter = try Encounter.leaf()
            encounter.chain[0].append(0)
            return encounter
        },
        Row("an authority that is trusted and not a root", nil) {
            let between = try Forge.intermediate(under: Forge.root())
            let leaf = try Forge.leaf(under: between)
            return Encounter(chain: [leaf.der], bundles: [try Encounter.bundle(between)])
        },
    ]

    static let constraints: [Row] = [
        Row("a permitted URI", nil) {
            try below { $0.set("nameConstraints", "critical,permitted;URI:mesh.test") }
        },
        Row("a URI that is not permitted", "unfit") {
            try below { $0.set("nameConstraints", "critical,permitted;URI:other.test") }
        },
        Row("an excluded URI", "unfit") {
            try below { $0.set("nameConstraints", "critical,excluded;URI:mesh.test") }
        },
        Row("a DNS name that is not permitted", "unfit") {
            try below(
                { $0.set("nameConstraints", "critical,permitted;DNS:good.test") },
                leaf: { $0.set("subjectAltName", "DNS:evil.test") })
        },
        Row("an excluded DNS name", "unfit") {
            try below(
                { $0.set("nameConstraints", "critical,excluded;DNS:evil.test") },
                leaf: { $0.set("subjectAltName", "DNS:www.evil.test") })
        },
        Row("a wildcard around an excluded name", "unfit") {
            try below(
                { $0.set("nameConstraints", "critical,excluded;DNS:evil.web.test") },
                leaf: { $0.set("subjectAltName", "DNS:*.web.test") })
        },
    ]

    static let times: [Row] = [
        Row("an expired leaf", "expired") { try .leaf { $0.notAfter = Forge.now - 1 } },
        Row("a leaf of tomorrow", "not_yet_valid") { try .leaf { $0.notBefore = Forge.now + 1 } },
        Row("an expired authority between", "expired") {
            try below { $0.notAfter = Forge.now - 1 }
        },
        Row("an authority of tomorrow between", "not_yet_valid") {
            try below { $0.notBefore = Forge.now + 1 }
        },
        Row("an expired root", "expired") {
            try below({ _ in }, root: { $0.notAfter = Forge.now - 1 })
        },
    ]

    /// A leaf of an ID, signed by mesh.test's root, which is trusted as `name`.
    private static func domain(_ id: String, trust name: String = "mesh.test") throws -> Encounter {
        let root = try Forge.root()
        let leaf = try Forge.leaf(under: root) { $0.set("subjectAltName", "URI:\(id)") }
        return Encounter(
            chain: [leaf.der], bundles: [try Encounter.bundle(root, name: name)])
    }

    static let domains: [Row] = [
        Row("of a domain that begins like ours", "unknown_trust_domain") {
            try domain("spiffe://mesh.test.evil.com/web")
        },
        Row("of a domain that ends like ours", "unknown_trust_domain") {
            try domain("spiffe://evilmesh.test/web")
        },
        Row("of a domain below ours", "unknown_trust_domain") {
            try domain("spiffe://a.mesh.test/web")
        },
        Row("of ours, with ours in its path", "unknown_trust_domain") {
            try domain("spiffe://evil.com/mesh.test/web")
        },
        Row("without any trust entry", "unknown_trust_domain") {
            var encounter = try Encounter.leaf()
            encounter.bundles = []
            return encounter
        },
        Row("of DNS names, without any trust entry", "untrusted") {
            var encounter = try Encounter.leaf { $0.set("subjectAltName", "DNS:web.test") }
            encounter.bundles = []
            return encounter
        },
        Row("of our domain, from another domain's authority", "untrusted") {
            let evil = try Forge.root("evil")
            let leaf = try Forge.leaf(under: evil)
            return Encounter(
                chain: [leaf.der, evil.der],
                bundles: [
                    try Encounter.bundle(evil, name: "evil.test"),
                    try Encounter.bundle(Forge.root()),
                ])
        },
        Row("below an authority whose SPIFFE ID is of another domain", "unfit") {
            try below { $0.set("subjectAltName", "URI:spiffe://evil.test") }
        },
        Row("below an authority whose SPIFFE ID is of its domain", nil) {
            try below { $0.set("subjectAltName", "URI:spiffe://mesh.test") }
        },
        Row("below an authority whose SPIFFE ID has a path", "unfit") {
            try below { $0.set("subjectAltName", "URI:spiffe://mesh.test/ca") }
        },
    ]

    /// A leaf below an authority below a root, with lists.
    private static func listed(
        root rootSerials: [[UInt8]] = [], between serials: [[UInt8]] = [],
        _ change: (inout RevocationListDraft) -> Void = { _ in }
    ) throws -> Encounter {
        let root = try Forge.root()
        let between = try Forge.intermediate(under: root) { $0.serial = [0x17] }
        let leaf = try Forge.leaf(under: between)
        let lists =
            try Forge.list(of: root, revoking: rootSerials)
            + Forge.list(of: between, revoking: serials, change)
        return Encounter(
            chain: [leaf.der, between.der],
            bundles: [try Encounter.bundle(root, revocations: lists)])
    }

    static let revocations: [Row] = [
        Row("nothing revoked", nil) { try listed() },
        Row("another revoked", nil) { try listed(between: [[0x2b], [0x2a, 0x2a]]) },
        Row("the leaf revoked", "revoked") { try listed(between: [[0x01], [0x2a]]) },
        Row("the authority between revoked", "revoked") { try listed(root: [[0x17]]) },
        Row("an expired list", "revocation_unknown") {
            try listed { $0.nextUpdate = Forge.now - 1 }
        },
        Row("a list of tomorrow", "revocation_unknown") {
            try listed { $0.thisUpdate = Forge.now + 1 }
        },
        Row("no list of the authority between", "revocation_unknown") {
            let root = try Forge.root()
            let between = try Forge.intermediate(under: root)
            let leaf = try Forge.leaf(under: between)
            let bundle = try Encounter.bundle(root, revocations: Forge.list(of: root))
            return Encounter(chain: [leaf.der, between.der], bundles: [bundle])
        },
        Row("a list of the authority between that another key signed", "revocation_unknown") {
            let root = try Forge.root()
            let between = try Forge.intermediate(under: root)
            let leaf = try Forge.leaf(under: between)
            let lists =
                try Forge.list(of: root)
                + Forge.list(of: between, signedBy: CertificateKey.generate(.ed25519))
            return Encounter(
                chain: [leaf.der, between.der],
                bundles: [try Encounter.bundle(root, revocations: lists)])
        },
        Row("the list of a trusted authority that is no root", nil) {
            let between = try Forge.intermediate(under: Forge.root())
            let leaf = try Forge.leaf(under: between)
            let bundle = try Encounter.bundle(between, revocations: Forge.list(of: between))
            return Encounter(chain: [leaf.der], bundles: [bundle])
        },
        Row("on the list of a trusted authority that is no root", "revoked") {
            let between = try Forge.intermediate(under: Forge.root())
            let leaf = try Forge.leaf(under: between)
            let lists = try Forge.list(of: between, revoking: [[0x2a]])
            return Encounter(
                chain: [leaf.der], bundles: [try Encounter.bundle(between, revocations: lists)])
        },
    ]
}
