/// Whom to believe: the authorities of one trust domain and the lists of what they revoked.
/// It may be used from any thread.
public final class TrustBundle: Sendable {
    /// Authorities in one bundle.
    public static let authoritiesMax = 1_024

    /// What is expected of the authorities.
    public enum Origin: Sendable {
        /// They are the user's own: one that does not do is an error.
        case configured
        /// They came with the machine, for the public web: those that do not do are left out, and
        /// what roots signed themselves with is not asked.
        case system
    }

    /// The trust domain, for X.509-SVIDs.
    public let name: String
    public let authorities: [Certificate]
    public let revocationListCount: Int
    /// When the first list expires; nil without one.
    public let revocationsExpireAt: Int64?
    /// When the first authority or list expires, in seconds since 1970.
    public let expiresAt: Int64
    /// Equal for bundles that believe the same.
    public let digest: [UInt8]
    let store: CertificateStore

    /// - authorities: PEM, one or more certificates.
    /// - revocations: PEM; with lists, every authority must have one, and what no list covers is
    ///   refused.
    public init(
        name: String, authorities: [UInt8], revocations: [UInt8]? = nil,
        origin: Origin = .configured
    ) throws(CertificateError) {
        let blocks = try PEM.blocks(in: authorities).filter { $0.label == Certificate.label }
        guard blocks.count <= Self.authoritiesMax else {
            throw .unreadable("\(blocks.count) authorities, of \(Self.authoritiesMax) allowed")
        }
        var handles: [CertificateHandle] = []
        for block in blocks {
            do throws(CertificateError) {
                handles.append(try Self.authority(block.bytes, of: name, origin))
            } catch {
                guard origin == .system else { throw error }
            }
        }
        if handles.isEmpty { throw .unreadable("it holds no certificate of an authority") }
        let lists = try revocations.map { (pem) throws(CertificateError) in
            try Self.lists(pem, authorities: handles)
        }
        store = try CertificateStore(authorities: handles, revocationLists: lists ?? [])
        self.name = name
        self.authorities = handles.map(\.certificate)
        revocationListCount = lists?.count ?? 0
        revocationsExpireAt = lists?.compactMap(\.nextUpdate).min()
        let dates = handles.map(\.certificate.notAfter) + [revocationsExpireAt ?? .max]
        expiresAt = dates.min() ?? .max
        digest = CertificateDigest.sha256(
            [Array(name.utf8)] + handles.map(\.certificate.der) + (lists ?? []).map(\.der))
    }

    private static func authority(
        _ der: [UInt8], of name: String, _ origin: Origin
    ) throws(CertificateError) -> CertificateHandle {
        let handle = try CertificateHandle(der: der)
        let certificate = handle.certificate
        var problem = CertificateRules.problem(ofAuthority: certificate)
        if problem == nil, !certificate.isSelfIssued || origin == .configured {
            problem = CertificateRules.problem(ofSigned: certificate)
        }
        if let id = try? certificate.spiffeID(), id.trustDomain != name, problem == nil {
            problem = "it is an authority of another trust domain, \(id.trustDomain)"
        }
        if let problem {
            throw .unfit("the authority \(certificate.name) cannot be trusted: \(problem)")
        }
        return handle
    }

    private static func lists(
        _ pem: [UInt8], authorities: [CertificateHandle]
    ) throws(CertificateError) -> [RevocationListHandle] {
        var lists: [RevocationListHandle] = []
        for block in try PEM.blocks(in: pem) where block.label == RevocationListHandle.label {
            let list = try RevocationListHandle(der: block.bytes)
            let namesakes = authorities.filter { list.isNamed(for: $0) }
            if !namesakes.isEmpty, !namesakes.contains(where: { list.isSigned(by: $0) }) {
                throw .unfit("the revocation list of \(list.issuer) is not signed by it")
            }
            lists.append(list)
        }
        if lists.isEmpty { throw .unreadable("it holds no revocation list (BEGIN X509 CRL)") }
        for authority in authorities where !lists.contains(where: { $0.isSigned(by: authority) }) {
            throw .unfit(
                "the authority \(authority.certificate.name) has no revocation list, "
                    + "and without one all that it issued would be refused")
        }
        return lists
    }
}
