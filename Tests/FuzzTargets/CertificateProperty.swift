internal import Identity
internal import Wire

/// Whatever is sent as a certificate, a chain, a request or a revocation list: none proves that a
/// peer is of the mesh but those that its authority has issued, as they are.
///
/// The first byte chooses what the rest, in DER, is taken for.
enum CertificateProperty {
    private static let authority = Array(
        """
        -----BEGIN CERTIFICATE-----
        MIIBlTCCATygAwIBAgIUODAlMAWNG+Nu6GtEmOkqH8Mi1IIwCgYIKoZIzj0EAwIw
        FzEVMBMGA1UEAwwMbWVzaC5leGFtcGxlMCAXDTI1MDEwMTAwMDAwMFoYDzIxMjUw
        MTAxMDAwMDAwWjAXMRUwEwYDVQQDDAxtZXNoLmV4YW1wbGUwWTATBgcqhkjOPQIB
        BggqhkjOPQMBBwNCAATKctd3uh4wbV0hg/OQdPaRzomRe36Ffgf961mBCN7C05vC
        D9KosPUq5KTsTOagXRb8F9fZ7UqPeLlHlC+Dh/EWo2QwYjAPBgNVHRMBAf8EBTAD
        AQH/MA4GA1UdDwEB/wQEAwIBBjAdBgNVHQ4EFgQU6Yvd3drAKzg7JE7QulZQWAYq
        wRMwIAYDVR0RBBkwF4YVc3BpZmZlOi8vbWVzaC5leGFtcGxlMAoGCCqGSM49BAMC
        A0cAMEQCIFqfbStD+Wf5oDmlv5TPFaKss3Q1CuVUWrin+JujcXhkAiB075pyE/FH
        W3Dg/1SMtodLFjWM6+r2dTX6Cr8vCW5Okg==
        -----END CERTIFICATE-----

        """.utf8)
    /// Of what it has issued: `TestCertificates` of the test kit, and itself.
    private static let issued: Set<String> = [
        "24d186f9f364bf51991e5f6383ae4f2cc1f26fb4de669671b1c1d06fd4c9e379",
        "7a7e89e5193b55135bde8691369d4b4e52a01b2488bac6d1d654df39f3601c26",
        "391c82c697b3dcfd84672f005d6272383cb8ed4f1de7ce0416bcd3b350e3ce89",
        "de1488117e5d47a25e8678e0057175f3e85260a3d25af371d4d7b20bc069a4de",
    ]
    private static let bundle = try? TrustBundle(name: "mesh.example", authorities: authority)
    private static let now: Int64 = 1_800_000_000

    static func fault(_ bytes: [UInt8]) -> String? {
        let (mode, der) = bytes.split()
        switch mode % 5 {
        case 0: return certificateFault(der) ?? peerFault([der])
        case 1: return peerFault(chain(der))
        case 2: return requestFault(der)
        case 3: return bundleFault(der)
        default: return revocationFault(der)
        }
    }

    private static func certificateFault(_ der: [UInt8]) -> String? {
        guard let certificate = try? Certificate(der: der) else { return nil }
        guard certificate.der == der, certificate.fingerprint == SHA256Digest.of(der) else {
            return "is another certificate than what was sent"
        }
        let pem = PEM.text([PEM.Block(label: Certificate.label, bytes: der)])
        guard (try? Certificate.list(pem: pem)) == [certificate] else {
            return "is another certificate as PEM"
        }
        guard der.count <= Certificate.bytesMax, certificate.serial.first != 0 else {
            return "is over its bounds"
        }
        return nil
    }

    private static func peerFault(_ chain: [[UInt8]]) -> String? {
        guard let bundle else { return "there is no authority" }
        for purpose in [PeerVerification.Purpose.client, .server] {
            let result = PeerVerification.verify(
                chain: chain, bundles: [bundle], purpose: purpose, at: now)
            guard case .success(let peer) = result else { continue }
            let digest = peer.fingerprint.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }
            guard issued.contains(digest.joined()) else { return "is believed to be \(peer)" }
            guard peer.spiffeID?.trustDomain == "mesh.example" else { return "is of no domain" }
        }
        return nil
    }

    /// Each with two bytes before it that say how long it is.
    private static func chain(_ bytes: [UInt8]) -> [[UInt8]] {
        var chain: [[UInt8]] = []
        var index = 0
        while index + 2 <= bytes.count, chain.count < 16 {
            let count = Int(bytes[index]) << 8 | Int(bytes[index + 1])
            let end = min(bytes.count, index + 2 + count)
            chain.append(Array(bytes[index + 2..<end]))
            index = end
        }
        return chain
    }

    private static func requestFault(_ der: [UInt8]) -> String? {
        guard let request = try? CertificateRequest(der: der) else { return nil }
        guard (try? CertificateRequest(pem: request.pem)) == request else {
            return "the request does not read back"
        }
        return request.publicKey.isEmpty ? "the request has no key" : nil
    }

    /// As an authority of its own.
    private static func bundleFault(_ der: [UInt8]) -> String? {
        let pem = PEM.text([PEM.Block(label: Certificate.label, bytes: der)])
        guard let bundle = try? TrustBundle(name: "mesh.example", authorities: pem) else {
            return nil
        }
        guard bundle.authorities.map(\.der) == [der], bundle.authorities[0].isAuthority else {
            return "an authority is none"
        }
        return nil
    }

    private static func revocationFault(_ der: [UInt8]) -> String? {
        let list = PEM.text([PEM.Block(label: "X509 CRL", bytes: der)])
        let bundle = try? TrustBundle(
            name: "mesh.example", authorities: authority, revocations: list)
        return bundle == nil ? nil : "a revocation list is believed that nobody has signed"
    }
}
