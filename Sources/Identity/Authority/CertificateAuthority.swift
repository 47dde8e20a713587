internal import Wire

/// A small certificate authority of one trust domain: roots, what they issued and what they
/// revoked. It does no I/O; every change is one of its state, which the caller keeps.
public struct CertificateAuthority: Sendable {
    /// How far certificates begin in the past, in seconds, as clocks differ: five minutes, or a
    /// tenth of a short life.
    static func backdating(_ lifetime: Int64) -> Int64 { min(300, lifetime / 10) }

    /// Longest life of a leaf, in seconds.
    public static let leafLifetimeMax: Int64 = 90 * 86_400
    /// Roots that are believed at a time.
    public static let rootsMax = 8

    /// Oldest first; the last one signs.
    public private(set) var roots: [AuthorityRoot]
    public private(set) var index: AuthorityIndex

    public var trustDomain: String { index.trustDomain }
    var signer: AuthorityRoot { roots[roots.count - 1] }

    /// A new authority with one root.
    ///
    /// - lifetime: of the root, in seconds, like all times here.
    public init(
        trustDomain: String, kind: PrivateKey.Kind, lifetime: Int64, at now: Int64
    ) throws(CertificateError) {
        let id: SPIFFEID
        do {
            id = try SPIFFEID("spiffe://\(trustDomain)")
        } catch {
            throw .unfit("'\(trustDomain)' is no trust domain")
        }
        guard id.path.isEmpty else { throw .unfit("'\(trustDomain)' is no trust domain") }
        let domain = String(id.trustDomain)
        let root = try AuthorityRoot.make(
            domain, kind: kind, lifetime: lifetime, at: now, after: nil)
        index = AuthorityIndex(trustDomain: domain)
        index.roots = [root.number]
        roots = [root]
    }

    /// One that was kept.
    ///
    /// - roots: those that the index names, in its order.
    public init(index: AuthorityIndex, roots: [AuthorityRoot]) throws(CertificateError) {
        guard index.roots == roots.map(\.number), !roots.isEmpty else {
            throw .unreadable("the roots are not those of the index")
        }
        self.index = index
        self.roots = roots
    }

    /// A certificate for a workload, and what its peers need to verify it under the root before.
    public mutating func issue(
        _ names: CertificateNames, publicKey: [UInt8], lifetime: Int64, at now: Int64
    ) throws(CertificateError) -> [Certificate] {
        guard names.spiffeID.trustDomain == trustDomain else {
            throw .unfit("\(names.spiffeID) is not of the trust domain \(trustDomain)")
        }
        guard (1...Self.leafLifetimeMax).contains(lifetime) else {
            throw .unfit("a lifetime of \(lifetime) s: 1 to \(Self.leafLifetimeMax) s will do")
        }
        guard signer.certificate.notAfter > now else {
            throw .expired(
                subject: signer.certificate.subject, since: signer.certificate.notAfter)
        }
        var draft = CertificateDraft()
        draft.organization = trustDomain
        draft.serial = CertificateSerial.random()
        draft.notBefore = max(
            now - Self.backdating(lifetime), signer.certificate.notBefore)
        draft.notAfter = min(now + lifetime, signer.certificate.notAfter)
        draft.extensions = [
            .init(name: "basicConstraints", value: "critical,CA:FALSE"),
            .init(name: "keyUsage", value: "critical,digitalSignature"),
            .init(name: "extendedKeyUsage", value: "serverAuth,clientAuth"),
            .init(name: "subjectKeyIdentifier", value: "hash"),
            .init(name: "authorityKeyIdentifier", value: "keyid:always"),
            .init(name: "subjectAltName", value: names.extensionValue),
        ]
        let certificate = try signer.sign(draft, publicKey: publicKey)
        if let problem = CertificateRules.problem(ofLeaf: certificate) { throw .unfit(problem) }
        index.forgetExpired(at: now)
        try index.add(
            .init(
                serial: draft.serial, root: signer.number, notBefore: draft.notBefore,
                notAfter: draft.notAfter, revokedAt: nil, names: names))
        return [certificate] + chain
    }

    /// Between a leaf and the root before: none once that is no longer believed.
    private var chain: [Certificate] {
        guard roots.count > 1, let cross = signer.crossCertificate else { return [] }
        return [cross]
    }

    /// What a certificate of this authority was issued for, if it is in force.
    public func recordInForce(
        of certificate: Certificate, at now: Int64
    ) throws(CertificateError) -> AuthorityIndex.Record {
        let handle = try CertificateHandle(der: certificate.der)
        var isOurs = false
        for root in roots where !isOurs {
            isOurs = handle.isSigned(by: try CertificateHandle(der: root.certificate.der))
        }
        guard isOurs else { throw .unfit("it was not issued by this authority") }
        guard certificate.notAfter >= now else {
            throw .expired(subject: certificate.name, since: certificate.notAfter)
        }
        guard let record = index.record(serial: certificate.serial) else {
            throw .unfit("this authority does not know its serial number")
        }
        if let revokedAt = record.revokedAt {
            throw .unfit("it was revoked at \(UTC.text(seconds: revokedAt))")
        }
        return record
    }

    /// Revokes a certificate by its serial number; false if it was already.
    public mutating func revoke(
        serial: [UInt8], at now: Int64
    ) throws(CertificateError) -> Bool {
        guard let place = index.records.firstIndex(where: { $0.serial == serial }) else {
            throw .unfit(
                "no certificate with the serial number \(CertificateSerial.text(serial)) is in "
                    + "force")
        }
        guard index.records[place].revokedAt == nil else { return false }
        index.records[place].revokedAt = now
        return true
    }

    /// Adds a root, which signs from now on. Those before stay believed.
    public mutating func rotateRoot(
        kind: PrivateKey.Kind, lifetime: Int64, at now: Int64
    ) throws(CertificateError) {
        guard roots.count < Self.rootsMax else {
            throw .unfit("\(roots.count) roots are believed: retire the old ones first")
        }
        let root = try AuthorityRoot.make(
            trustDomain, kind: kind, lifetime: lifetime, at: now, after: signer)
        roots.append(root)
        index.roots.append(root.number)
    }

    /// Stops believing all roots but the last, and forgets what they issued. Gives their numbers.
    ///
    /// - isForced: even where they signed what has not expired.
    public mutating func retireRoots(
        isForced: Bool, at now: Int64
    ) throws(CertificateError) -> [Int] {
        let last = signer.number
        let open = index.records.filter {
            $0.root != last && $0.notAfter >= now && $0.revokedAt == nil
        }
        if !isForced, let latest = open.map(\.notAfter).max() {
            throw .unfit(
                "\(open.count) certificates of older roots are in force, until "
                    + UTC.text(seconds: latest))
        }
        let retired = index.roots.filter { $0 != last }
        roots.removeAll { $0.number != last }
        index.roots = [last]
        index.records.removeAll { $0.root != last }
        return retired
    }

    /// PEM of the roots that are believed.
    public var bundle: [UInt8] {
        PEM.text(roots.map { .init(label: Certificate.label, bytes: $0.certificate.der) })
    }

    /// PEM of a new revocation list for each root.
    ///
    /// - lifetime: after it, peers refuse all certificates until they have a newer list.
    public mutating func revocationLists(
        lifetime: Int64, at now: Int64
    ) throws(CertificateError) -> [UInt8] {
        index.listCount += 1
        var blocks: [PEM.Block] = []
        for root in roots {
            let revoked = index.records.filter { $0.root == root.number }.compactMap { record in
                record.revokedAt.map {
                    RevocationListDraft.Entry(serial: record.serial, revokedAt: $0)
                }
            }
            let draft = RevocationListDraft(
                number: index.listCount, thisUpdate: now - Self.backdating(lifetime),
                nextUpdate: now + lifetime, entries: revoked)
            let der = try draft.signed(
                issuer: CertificateHandle(der: root.certificate.der),
                by: CertificateKey(pem: root.key.pem))
            blocks.append(.init(label: RevocationListHandle.label, bytes: der))
        }
        return PEM.text(blocks)
    }
}
