/// Who a peer is, by the certificates it sent: X.509-SVIDs by the rules of SPIFFE, others by RFC
/// 5280 and their DNS names.
public enum PeerVerification {
    /// What the peer was on its connection.
    public enum Purpose: Sendable { case client, server }

    /// Certificates that a peer may send.
    public static let chainMax = 10

    /// - chain: as DER, the peer's own first; the rest helps to find an authority and is not
    ///   trusted.
    /// - bundles: whom to believe. An X.509-SVID is verified under the one named like its trust
    ///   domain and no other; others under the first that has an authority for it.
    public static func verify(
        chain: [[UInt8]], bundles: [TrustBundle], purpose: Purpose, at unixSeconds: Int64
    ) -> Result<PeerIdentity, PeerRefusal> {
        do throws(PeerRefusal) {
            let handles = try read(chain)
            let leaf = handles[0].certificate
            if let problem = CertificateRules.problem(ofLeaf: leaf, for: purpose) {
                throw .unfit(subject: leaf.name, problem)
            }
            let id = try? leaf.spiffeID()
            let candidates: ArraySlice<TrustBundle>
            if let id {
                candidates = bundles.filter { $0.name == id.trustDomain }.prefix(1)
                if candidates.isEmpty { throw .unknownTrustDomain(id) }
            } else {
                candidates = bundles[...]
            }
            var refusal = PeerRefusal.untrusted(
                subject: leaf.name, "there is no trust entry to verify it under")
            for bundle in candidates {
                switch bundle.store.verify(handles, for: purpose, at: unixSeconds) {
                case .failure(let next): refusal = next
                case .success(let path):
                    return .success(try identity(id, path: path, trust: bundle.name))
                }
                // An authority that knows the certificate has the last word on it.
                if case .untrusted = refusal { continue }
                break
            }
            throw refusal
        } catch {
            return .failure(error)
        }
    }

    private static func read(_ chain: [[UInt8]]) throws(PeerRefusal) -> [CertificateHandle] {
        if chain.isEmpty { throw .noCertificate }
        guard chain.count <= chainMax else {
            throw .tooLarge("\(chain.count) certificates were sent, of \(chainMax) allowed")
        }
        var handles: [CertificateHandle] = []
        for der in chain {
            guard der.count <= Certificate.bytesMax else {
                throw .tooLarge(
                    "a certificate has \(der.count) bytes, of \(Certificate.bytesMax) allowed")
            }
            do throws(CertificateError) {
                let handle = try CertificateHandle(der: der)
                // Before its key is used for anything.
                if let problem = CertificateRules.problem(of: handle.certificate.key) {
                    throw CertificateError.unfit(problem)
                }
                handles.append(handle)
            } catch {
                throw .unreadable("a certificate that was sent cannot be used: \(error)")
            }
        }
        return handles
    }

    /// What path validation leaves out. `path` is from the leaf to the anchor.
    private static func identity(
        _ id: SPIFFEID?, path: [Certificate], trust: String
    ) throws(PeerRefusal) -> PeerIdentity {
        let leaf = path[0]
        for authority in path.dropFirst() {
            if let problem = CertificateRules.problem(ofAuthority: authority) {
                throw .unfit(subject: authority.name, problem)
            }
            if let id, let signer = try? authority.spiffeID(), signer.trustDomain != id.trustDomain
            {
                throw .unfit(
                    subject: authority.name, "it is an authority of another trust domain, \(signer)"
                )
            }
        }
        for signed in path.dropFirst().dropLast() {
            if let problem = CertificateRules.problem(ofSigned: signed) {
                throw .unfit(subject: signed.name, problem)
            }
        }
        // RFC 5280 says whether a name is excluded, and a wildcard is not that name.
        if path.contains(where: \.excludesNames),
            leaf.dnsNames.contains(where: { $0.contains("*") })
        {
            throw .unfit(subject: leaf.name, "it has wildcards and its authority excludes names")
        }
        return PeerIdentity(
            spiffeID: id, dnsNames: leaf.dnsNames, trust: trust,
            expiresAt: path.map(\.notAfter).min() ?? leaf.notAfter, fingerprint: leaf.fingerprint)
    }
}

extension Certificate {
    /// For people: its SPIFFE ID, else its DNS name, else its subject.
    public var name: String {
        if let id = try? spiffeID() { return id.description }
        return dnsNames.first ?? (subject.isEmpty ? "a nameless subject" : subject)
    }
}
