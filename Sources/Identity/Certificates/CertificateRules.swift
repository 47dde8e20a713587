/// What Weir asks of certificates beyond RFC 5280's path validation. Each function gives the reason
/// to refuse one, in words, or nil.
enum CertificateRules {
    /// Signatures of larger keys take long to check.
    static let rsaBits = 2_048...8_192

    /// Asked of every certificate.
    static func problem(of certificate: Certificate) -> String? {
        if certificate.version != 3 {
            return "it is of version \(certificate.version): extensions need version 3"
        }
        if let defect = certificate.defect { return defect }
        return problem(of: certificate.key)
    }

    static func problem(of key: Certificate.Key) -> String? {
        switch key {
        case .p256, .p384, .p521, .ed25519: nil
        case .rsa(let bits) where rsaBits.contains(bits): nil
        case .rsa(let bits):
            "its RSA key has \(bits) bits: \(rsaBits.lowerBound) to \(rsaBits.upperBound) will do"
        case .other(let words):
            "its key is \(words): RSA, EC P-256, P-384, P-521 and Ed25519 will do"
        }
    }

    /// Asked of every certificate whose signature is what it is trusted for.
    static func problem(ofSigned certificate: Certificate) -> String? {
        if !certificate.isSignedStrongly { return "its signature is not over SHA-256 or better" }
        // RFC 5280, 4.1.2.2.
        if certificate.isSerialNegative || certificate.serial.isEmpty {
            return "its serial number is not positive"
        }
        return certificate.serial.count > 20 ? "its serial number is longer than 20 bytes" : nil
    }

    /// Asked of every certificate that signs others.
    static func problem(ofAuthority certificate: Certificate) -> String? {
        if let problem = problem(of: certificate) { return problem }
        if !certificate.isAuthority { return "it is no authority (CA:TRUE)" }
        if certificate.usage?.contains(.signsCertificates) != true {
            return "its key usage lacks keyCertSign"
        }
        do throws(CertificateError) {
            // X509-SVID, 3.2.
            if let id = try certificate.spiffeID(), !id.path.isEmpty {
                return "it is an authority and its SPIFFE ID has a path"
            }
        } catch {
            return "\(error)"
        }
        return nil
    }

    /// Asked of every certificate that a peer authenticates itself with.
    static func problem(ofLeaf certificate: Certificate) -> String? {
        if let problem = problem(of: certificate) ?? problem(ofSigned: certificate) {
            return problem
        }
        if certificate.isAuthority { return "it is an authority's (CA:TRUE)" }
        if let usage = certificate.usage {
            if !usage.contains(.digitalSignature) { return "its key usage lacks digitalSignature" }
            if usage.contains(.signsCertificates) { return "its key usage has keyCertSign" }
            if usage.contains(.signsLists) { return "its key usage has cRLSign" }
        }
        if let purposes = certificate.purposes, purposes.isDisjoint(with: [.client, .server]) {
            return "its extended key usage has neither serverAuth nor clientAuth"
        }
        do throws(CertificateError) {
            guard let id = try certificate.spiffeID() else { return nil }
            return problem(ofSVID: certificate, id: id)
        } catch {
            return "\(error)"
        }
    }

    /// X509-SVID, 4 and 5.2.
    private static func problem(ofSVID certificate: Certificate, id: SPIFFEID) -> String? {
        if id.path.isEmpty { return "its SPIFFE ID has no path" }
        if certificate.usage == nil { return "it has no key usage" }
        if !certificate.isUsageCritical { return "its key usage is not critical" }
        if let purposes = certificate.purposes, !purposes.isSuperset(of: [.client, .server]) {
            return "its extended key usage must have both serverAuth and clientAuth"
        }
        return nil
    }

    static func problem(
        ofLeaf certificate: Certificate, for purpose: PeerVerification.Purpose
    ) -> String? {
        if let problem = problem(ofLeaf: certificate) { return problem }
        guard let purposes = certificate.purposes else { return nil }
        switch purpose {
        case .client where !purposes.contains(.client):
            return "its extended key usage lacks clientAuth"
        case .server where !purposes.contains(.server):
            return "its extended key usage lacks serverAuth"
        default: return nil
        }
    }
}
