/// A request for a certificate (PKCS #10, RFC 2986), signed with the key that it asks one for.
public struct CertificateRequest: Hashable, Sendable {
    public static let label = "CERTIFICATE REQUEST"

    public let der: [UInt8]
    /// SubjectPublicKeyInfo.
    public let publicKey: [UInt8]
    /// What it asks for. An authority decides.
    public let spiffeID: SPIFFEID?
    public let dnsNames: [String]

    /// Checks the signature.
    public init(der: [UInt8]) throws(CertificateError) {
        let handle = try RequestHandle(der: der)
        let names = try handle.names()
        guard names.uris.count <= 1 else {
            throw .unfit("it asks for \(names.uris.count) URIs, of 1 allowed")
        }
        do {
            spiffeID = try names.uris.first.map { try SPIFFEID(parsing: $0.span) }
        } catch {
            throw .unfit("its URI is not a SPIFFE ID (\(error))")
        }
        self.der = der
        publicKey = handle.publicKey
        dnsNames = names.dnsNames
    }

    public init(pem: [UInt8]) throws(CertificateError) {
        let blocks = try PEM.blocks(in: pem).filter { $0.label == Self.label }
        guard let block = blocks.first, blocks.count == 1 else {
            throw .unreadable("it holds \(blocks.count) requests (BEGIN \(Self.label)), not 1")
        }
        try self.init(der: block.bytes)
    }

    public init(_ names: CertificateNames, key: PrivateKey) throws(CertificateError) {
        let handle = try CertificateKey(pem: key.pem)
        try self.init(der: RequestHandle.make(names: names.extensionValue, key: handle))
    }

    public var pem: [UInt8] { PEM.text([PEM.Block(label: Self.label, bytes: der)]) }
}
