/// A private key as text. Whoever holds it keeps it to itself.
public struct PrivateKey: Hashable, Sendable {
    public enum Kind: String, CaseIterable, Sendable {
        case p256 = "ec-p256"
        case ed25519
    }

    /// PKCS #8, not encrypted.
    public let pem: [UInt8]
    /// SubjectPublicKeyInfo.
    public let publicKey: [UInt8]

    public init(pem: [UInt8]) throws(CertificateError) {
        self.init(try CertificateKey(pem: pem), pem: pem)
    }

    public static func generate(_ kind: Kind) throws(CertificateError) -> PrivateKey {
        let key = try CertificateKey.generate(kind == .p256 ? .ec(curve: "P-256") : .ed25519)
        return PrivateKey(key, pem: try key.pem())
    }

    /// Whether it is that of a certificate.
    public func fits(_ certificate: Certificate) -> Bool {
        guard let handle = try? CertificateHandle(der: certificate.der),
            let key = try? CertificateKey(pem: pem)
        else { return false }
        return handle.isOf(key)
    }

    private init(_ key: CertificateKey, pem: [UInt8]) {
        self.pem = pem
        publicKey = key.publicKey()
    }
}
