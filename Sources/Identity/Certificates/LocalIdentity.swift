/// Who Weir is: a certificate, those between it and an authority, and its private key, found to
/// fit.
public struct LocalIdentity: Hashable, Sendable {
    /// PEM, the own certificate first, nothing but certificates.
    public let certificatePEM: [UInt8]
    public let privateKeyPEM: [UInt8]
    /// DER, the own certificate first.
    public let chain: [[UInt8]]
    public let spiffeID: SPIFFEID?
    /// In lower case; a name may begin with `*.`.
    public let dnsNames: [String]
    /// Whether it may be shown to clients, and to servers.
    public let serves: Bool
    public let calls: Bool
    /// In seconds since 1970: of the part of the time that all certificates of the chain share.
    public let notBefore: Int64
    public let notAfter: Int64
    /// Equal for identities that are the same to peers.
    public let digest: [UInt8]

    /// - certificate: PEM, in order: each certificate is signed by the next.
    /// - privateKey: PEM, not encrypted.
    public init(
        certificate: [UInt8], privateKey: [UInt8], at unixSeconds: Int64
    ) throws(CertificateError) {
        let handles = try Self.read(certificate)
        let leaf = handles[0].certificate
        if let problem = CertificateRules.problem(ofLeaf: leaf) {
            throw .unfit("the certificate of \(leaf.name) cannot be used: \(problem)")
        }
        let key = try CertificateKey(pem: privateKey)
        guard handles[0].isOf(key) else { throw .keyDoesNotFit }
        for (signed, signer) in zip(handles, handles.dropFirst()) {
            if let problem = CertificateRules.problem(ofAuthority: signer.certificate) {
                throw .unfit(
                    "\(signer.certificate.name), in the chain, cannot be used: \(problem)")
            }
            guard signed.isSigned(by: signer) else {
                throw .unfit(
                    "the chain is not in order: the certificate of \(signed.certificate.name) is "
                        + "not signed by the next, \(signer.certificate.name)")
            }
        }
        for certificate in handles.map(\.certificate) {
            if certificate.notAfter < unixSeconds {
                throw .expired(subject: certificate.name, since: certificate.notAfter)
            }
            if certificate.notBefore > unixSeconds {
                throw .notYetValid(subject: certificate.name, until: certificate.notBefore)
            }
        }
        chain = handles.map(\.certificate.der)
        certificatePEM = PEM.text(
            chain.map { PEM.Block(label: Certificate.label, bytes: $0) })
        privateKeyPEM = privateKey
        spiffeID = try leaf.spiffeID()
        dnsNames = leaf.dnsNames
        serves = leaf.purposes?.contains(.server) ?? true
        calls = leaf.purposes?.contains(.client) ?? true
        notBefore = handles.map(\.certificate.notBefore).max() ?? leaf.notBefore
        notAfter = handles.map(\.certificate.notAfter).min() ?? leaf.notAfter
        // The key is that of the certificate.
        digest = CertificateDigest.sha256(chain)
    }

    private static func read(_ pem: [UInt8]) throws(CertificateError) -> [CertificateHandle] {
        let blocks = try PEM.blocks(in: pem).filter { $0.label == Certificate.label }
        if blocks.isEmpty { throw .unreadable("it holds no certificate (BEGIN CERTIFICATE)") }
        guard blocks.count <= PeerVerification.chainMax else {
            throw .unreadable(
                "a chain of \(blocks.count) certificates, of \(PeerVerification.chainMax) allowed")
        }
        var handles: [CertificateHandle] = []
        for block in blocks { handles.append(try CertificateHandle(der: block.bytes)) }
        return handles
    }
}
