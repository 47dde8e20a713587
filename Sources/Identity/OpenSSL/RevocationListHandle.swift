internal import COpenSSL

/// Owns an `X509_CRL`: what an authority revoked.
@safe final class RevocationListHandle {
    static let label = "X509 CRL"

    let pointer: OpaquePointer
    let der: [UInt8]
    let issuer: String
    /// When it must have been replaced, in seconds since 1970; nil where it does not say.
    let nextUpdate: Int64?

    init(der: [UInt8]) throws(CertificateError) {
        let parsed = unsafe der.withUnsafeBufferPointer { bytes in
            var position = bytes.baseAddress
            return unsafe d2i_X509_CRL(nil, &position, bytes.count)
        }
        ERR_clear_error()
        guard let pointer = unsafe parsed else {
            throw .unreadable("a revocation list is not DER of X.509")
        }
        unsafe self.pointer = unsafe pointer
        self.der = der
        issuer = unsafe CertificateHandle.text(X509_CRL_get_issuer(pointer))
        nextUpdate = unsafe CertificateHandle.seconds(X509_CRL_get0_nextUpdate(pointer))
    }

    deinit { unsafe X509_CRL_free(pointer) }

    func isNamed(for authority: CertificateHandle) -> Bool {
        unsafe X509_NAME_cmp(
            X509_CRL_get_issuer(pointer), X509_get_subject_name(authority.pointer)) == 0
    }

    func isSigned(by authority: CertificateHandle) -> Bool {
        defer { ERR_clear_error() }
        guard isNamed(for: authority), let key = unsafe X509_get0_pubkey(authority.pointer) else {
            return false
        }
        return unsafe X509_CRL_verify(pointer, key) == 1
    }
}
