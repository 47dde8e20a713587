import Testing

@testable import Identity

/// Makes certificates, the forged and careless ones too.
struct Forge {
    static let now: Int64 = 1_800_000_000
    static let day: Int64 = 86_400

    /// A certificate with its key.
    struct Holder {
        let handle: CertificateHandle
        let key: CertificateKey
        var der: [UInt8] { handle.certificate.der }
        var pem: [UInt8] { PEM.text([.init(label: Certificate.label, bytes: der)]) }
    }

    typealias Change = (inout CertificateDraft) -> Void

    static func root(
        _ organization: String = "mesh.test", kind: CertificateKey.Kind = .ec(curve: "P-256"),
        _ change: Change = { _ in }
    ) throws -> Holder {
        var draft = draft(organization)
        draft.extensions = [
            .init(name: "basicConstraints", value: "critical,CA:TRUE"),
            .init(name: "keyUsage", value: "critical,keyCertSign,cRLSign"),
            .init(name: "subjectKeyIdentifier", value: "hash"),
        ]
        change(&draft)
        return try sign(draft, kind: kind, by: nil)
    }

    static func intermediate(
        under issuer: Holder, _ organization: String = "between", _ change: Change = { _ in }
    ) throws -> Holder {
        var draft = draft(organization)
        draft.extensions = [
            .init(name: "basicConstraints", value: "critical,CA:TRUE"),
            .init(name: "keyUsage", value: "critical,keyCertSign,cRLSign"),
            .init(name: "subjectKeyIdentifier", value: "hash"),
            .init(name: "authorityKeyIdentifier", value: "keyid:always"),
        ]
        change(&draft)
        return try sign(draft, kind: .ec(curve: "P-256"), by: issuer)
    }

    /// An X.509-SVID of spiffe://mesh.test/web, unless it is changed.
    static func leaf(
        under issuer: Holder, kind: CertificateKey.Kind = .ec(curve: "P-256"),
        _ change: Change = { _ in }
    ) throws -> Holder {
        var draft = draft("a workload")
        draft.serial = [0x2a]
        draft.extensions = [
            .init(name: "basicConstraints", value: "critical,CA:FALSE"),
            .init(name: "keyUsage", value: "critical,digitalSignature"),
            .init(name: "extendedKeyUsage", value: "serverAuth,clientAuth"),
            .init(name: "subjectKeyIdentifier", value: "hash"),
            .init(name: "authorityKeyIdentifier", value: "keyid:always"),
            .init(name: "subjectAltName", value: "URI:spiffe://mesh.test/web"),
        ]
        change(&draft)
        return try sign(draft, kind: kind, by: issuer)
    }

    static func sign(
        _ draft: CertificateDraft, kind: CertificateKey.Kind, by issuer: Holder?
    ) throws -> Holder {
        let key = try CertificateKey.generate(kind)
        let der = try draft.signed(
            publicKey: key.publicKey(), issuer: issuer?.handle, by: issuer?.key ?? key)
        return Holder(handle: try CertificateHandle(der: der), key: key)
    }

    static func list(
        of issuer: Holder, revoking serials: [[UInt8]] = [], signedBy key: CertificateKey? = nil,
        _ change: (inout RevocationListDraft) -> Void = { _ in }
    ) throws -> [UInt8] {
        var draft = RevocationListDraft(
            number: 1, thisUpdate: now - day, nextUpdate: now + day,
            entries: serials.map { .init(serial: $0, revokedAt: now - day) })
        change(&draft)
        let der = try draft.signed(issuer: issuer.handle, by: key ?? issuer.key)
        return PEM.text([.init(label: RevocationListHandle.label, bytes: der)])
    }

    private static func draft(_ organization: String) -> CertificateDraft {
        var draft = CertificateDraft()
        draft.organization = organization
        draft.serial = CertificateSerial.random()
        draft.notBefore = now - day
        draft.notAfter = now + 30 * day
        return draft
    }
}

extension CertificateDraft {
    /// Sets an extension in place of the one of that name; nil removes it.
    mutating func set(_ name: String, _ value: String?) {
        extensions.removeAll { $0.name == name }
        if let value { extensions.append(.init(name: name, value: value)) }
    }
}

/// Whom to believe, and what a peer sends.
struct Encounter {
    var chain: [[UInt8]]
    var bundles: [TrustBundle]

    /// One leaf of one root of mesh.test.
    static func leaf(
        kind: CertificateKey.Kind = .ec(curve: "P-256"), _ change: Forge.Change = { _ in }
    ) throws -> Encounter {
        let root = try Forge.root()
        let leaf = try Forge.leaf(under: root, kind: kind, change)
        return Encounter(chain: [leaf.der], bundles: [try bundle(root)])
    }

    static func bundle(
        _ root: Forge.Holder, name: String = "mesh.test", revocations: [UInt8]? = nil
    ) throws -> TrustBundle {
        try TrustBundle(name: name, authorities: root.pem, revocations: revocations)
    }
}

/// One row of a table of encounters.
struct Row: Sendable, CustomTestStringConvertible {
    let testDescription: String
    /// What `PeerRefusal.reason` must be; nil where the peer is let in.
    let reason: String?
    var purpose = PeerVerification.Purpose.client
    let make: @Sendable () throws -> Encounter

    init(
        _ words: String, _ reason: String?, as purpose: PeerVerification.Purpose = .client,
        _ make: @escaping @Sendable () throws -> Encounter
    ) {
        testDescription = words
        self.reason = reason
        self.purpose = purpose
        self.make = make
    }

    /// A leaf of mesh.test with one extension changed.
    static func leaf(
        _ words: String, _ reason: String?, as purpose: PeerVerification.Purpose = .client,
        _ name: String, _ value: String?
    ) -> Row {
        Row(words, reason, as: purpose) { try .leaf { $0.set(name, value) } }
    }

    /// A leaf of mesh.test with other names.
    static func names(_ value: String, _ reason: String?) -> Row {
        leaf("names \(value.prefix(60))", reason, "subjectAltName", value)
    }

    func result() throws -> Result<PeerIdentity, PeerRefusal> {
        let encounter = try make()
        return PeerVerification.verify(
            chain: encounter.chain, bundles: encounter.bundles, purpose: purpose, at: Forge.now)
    }
}
