/// A self-signed certificate of an authority, and its key.
public struct AuthorityRoot: Hashable, Sendable {
    /// From 1 on, in the order in which they were made.
    public let number: Int
    public let certificate: Certificate
    public let key: PrivateKey
    /// The same name and key, signed by the root before: who knows only that one believes what
    /// this one signs.
    public let crossCertificate: Certificate?

    /// Checks that certificate and key fit.
    public init(
        number: Int, certificate: Certificate, key: PrivateKey, crossCertificate: Certificate?
    ) throws(CertificateError) {
        let handle = try CertificateHandle(der: certificate.der)
        guard handle.isOf(try CertificateKey(pem: key.pem)) else { throw .keyDoesNotFit }
        self.number = number
        self.certificate = certificate
        self.key = key
        self.crossCertificate = crossCertificate
    }

    /// - before: the root to be followed.
    static func make(
        _ trustDomain: String, kind: PrivateKey.Kind, lifetime: Int64, at now: Int64,
        after before: AuthorityRoot?
    ) throws(CertificateError) -> AuthorityRoot {
        let key = try PrivateKey.generate(kind)
        let number = (before?.number ?? 0) + 1
        var draft = CertificateDraft()
        draft.organization = trustDomain
        draft.commonName = "root \(number)"
        draft.serial = CertificateSerial.random()
        draft.notBefore = now - CertificateAuthority.backdating(lifetime)
        draft.notAfter = now + lifetime
        // A root signs leaves, and the root that follows it: one certificate between.
        draft.extensions = extensions(trustDomain, pathLength: 1)
        let handle = try CertificateKey(pem: key.pem)
        let der = try draft.signed(publicKey: key.publicKey, issuer: nil, by: handle)
        var cross: Certificate?
        if let before {
            draft.serial = CertificateSerial.random()
            draft.notAfter = min(draft.notAfter, before.certificate.notAfter)
            draft.extensions = extensions(trustDomain, pathLength: 0)
            draft.extensions.append(.init(name: "authorityKeyIdentifier", value: "keyid:always"))
            cross = try before.sign(draft, publicKey: key.publicKey)
        }
        return try AuthorityRoot(
            number: number, certificate: Certificate(der: der), key: key, crossCertificate: cross)
    }

    func sign(
        _ draft: CertificateDraft, publicKey: [UInt8]
    ) throws(CertificateError) -> Certificate {
        let issuer = try CertificateHandle(der: certificate.der)
        let der = try draft.signed(
            publicKey: publicKey, issuer: issuer, by: CertificateKey(pem: key.pem))
        return try Certificate(der: der)
    }

    private static func extensions(
        _ trustDomain: String, pathLength: Int
    ) -> [CertificateDraft.Extension] {
        [
            .init(name: "basicConstraints", value: "critical,CA:TRUE,pathlen:\(pathLength)"),
            .init(name: "keyUsage", value: "critical,keyCertSign,cRLSign"),
            .init(name: "subjectKeyIdentifier", value: "hash"),
            // X509-SVID, 3.2.
            .init(name: "subjectAltName", value: "URI:spiffe://\(trustDomain)"),
        ]
    }
}

/// Serial numbers.
public enum CertificateSerial {
    /// 16 bytes from the system's random source, the first never zero: positive, of one length,
    /// and not to be guessed.
    static func random() -> [UInt8] {
        var bytes = (0..<16).map { _ in UInt8.random(in: 0...255) }
        bytes[0] = bytes[0] & 0x3f | 0x40
        return bytes
    }
}
