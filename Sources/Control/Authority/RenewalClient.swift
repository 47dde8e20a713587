public import Identity

/// Asks an authority's process for the next certificate of who has one.
public enum RenewalClient {
    public struct Failure: Error, Equatable, CustomStringConvertible {
        public let description: String
    }

    /// What the files of an identity are to hold next.
    public struct Renewed: Sendable {
        /// PEM.
        public let certificate: [UInt8]
        public let key: PrivateKey
        /// PEM of whom peers are to believe now, and of what was revoked.
        public let bundle: [UInt8]
        public let revocationLists: [UInt8]
    }

    /// - socket: the path of the authority's socket.
    /// - kind: of the new key.
    public static func renew(
        _ current: LocalIdentity, kind: PrivateKey.Kind, socket: String, at now: Int64
    ) throws(Failure) -> Renewed {
        do {
            let key = try PrivateKey.generate(kind)
            let renewal = try CertificateRenewal(of: current, newKey: key)
            let request = RenewRequest(
                certificate: renewal.certificate, request: renewal.request, proof: renewal.proof)
            let answer = try UnaryCaller.call(
                RenewRequest.path, request.encoded, socket: socket)
            guard let response = RenewResponse(answer) else {
                throw Failure(description: "the authority's answer is no message")
            }
            return try checked(response, key: key, for: current, at: now)
        } catch let failure as Failure {
            throw failure
        } catch let failure as UnaryCaller.Failure {
            throw Failure(description: failure.words)
        } catch {
            throw Failure(description: "\(error)")
        }
    }

    /// An answer is used only if it is what was asked for.
    private static func checked(
        _ response: RenewResponse, key: PrivateKey, for current: LocalIdentity, at now: Int64
    ) throws -> Renewed {
        let certificate = PEM.text(
            response.chain.map { .init(label: Certificate.label, bytes: $0) })
        let next = try LocalIdentity(certificate: certificate, privateKey: key.pem, at: now)
        guard next.spiffeID == current.spiffeID else {
            throw Failure(description: "the authority's answer is for another ID")
        }
        return Renewed(
            certificate: certificate, key: key, bundle: response.bundle,
            revocationLists: response.revocationLists)
    }
}
