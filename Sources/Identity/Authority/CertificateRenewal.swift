/// A request for the next certificate of who has one: a new key's, with a proof by the current key.
public struct CertificateRenewal: Hashable, Sendable {
    /// DER of the current certificate.
    public let certificate: [UInt8]
    /// DER of the request for the new key (PKCS #10).
    public let request: [UInt8]
    /// By the current key, of `statement`.
    public let proof: [UInt8]

    public init(certificate: [UInt8], request: [UInt8], proof: [UInt8]) {
        self.certificate = certificate
        self.request = request
        self.proof = proof
    }

    /// Asks for a certificate for `newKey` by what is had now.
    public init(
        of current: LocalIdentity, newKey: PrivateKey
    ) throws(CertificateError) {
        guard let id = current.spiffeID else { throw .unfit("it has no SPIFFE ID") }
        let names = try CertificateNames(spiffeID: id, dnsNames: current.dnsNames)
        certificate = current.chain[0]
        request = try CertificateRequest(names, key: newKey).der
        let key = try CertificateKey(pem: current.privateKeyPEM)
        let unproven = CertificateRenewal(certificate: certificate, request: request, proof: [])
        guard let signature = key.sign(unproven.statement) else {
            throw .unfit("the current key cannot sign")
        }
        proof = signature
    }

    var isProven: Bool {
        guard let handle = try? CertificateHandle(der: certificate) else { return false }
        return handle.verifies(proof, of: statement)
    }

    /// What is signed: a label that no other protocol signs, and digests of both.
    var statement: [UInt8] {
        Array("weir.ca.v1 renewal\0".utf8) + CertificateDigest.sha256(certificate)
            + CertificateDigest.sha256(request)
    }
}

extension CertificateAuthority {
    /// Certificates in force that one ID may have before its renewals are refused.
    public static let renewalsMax = 1_000

    /// The next certificate of who has one in force, for the same names and no longer a life.
    ///
    /// - lifetimeMax: in seconds.
    public mutating func renew(
        _ renewal: CertificateRenewal, lifetimeMax: Int64, at now: Int64
    ) throws(CertificateError) -> [Certificate] {
        let current = try Certificate(der: renewal.certificate)
        if let problem = CertificateRules.problem(of: current.key) { throw .unfit(problem) }
        let record = try recordInForce(of: current, at: now)
        guard renewal.isProven else {
            throw .unfit("the proof is not by the key of the current certificate")
        }
        let request = try CertificateRequest(der: renewal.request)
        guard request.spiffeID == record.names.spiffeID else {
            throw .unfit("the request is not for \(record.names.spiffeID)")
        }
        guard request.dnsNames.allSatisfy(record.names.dnsNames.contains) else {
            throw .unfit("the request is for other DNS names than the current certificate")
        }
        let inForce = index.records.count {
            $0.names.spiffeID == record.names.spiffeID && $0.notAfter >= now
        }
        guard inForce < Self.renewalsMax else {
            throw .unfit("\(inForce) certificates of \(record.names.spiffeID) are in force")
        }
        // What it began in the past is not counted.
        let whole = record.notAfter - record.notBefore
        let lifetime = whole > 3_300 ? whole - 300 : (whole * 10 + 10) / 11
        return try issue(
            record.names, publicKey: request.publicKey,
            lifetime: min(max(lifetime, 1), lifetimeMax), at: now)
    }
}
