internal import COpenSSL

/// Owns an `X509`, and has read what it says.
@safe final class CertificateHandle {
    let pointer: OpaquePointer
    let certificate: Certificate

    init(der: [UInt8]) throws(CertificateError) {
        guard der.count <= Certificate.bytesMax else {
            throw .unreadable(
                "a certificate has \(der.count) bytes, of \(Certificate.bytesMax) allowed")
        }
        var isWhole = false
        let parsed = unsafe der.withUnsafeBufferPointer { bytes in
            var position = bytes.baseAddress
            let parsed = unsafe d2i_X509(nil, &position, bytes.count)
            unsafe isWhole = position == bytes.baseAddress.map { unsafe $0 + bytes.count }
            return unsafe parsed
        }
        ERR_clear_error()
        guard let pointer = unsafe parsed else {
            throw .unreadable("a certificate is not DER of X.509")
        }
        guard isWhole, let certificate = unsafe Self.read(pointer, der: der) else {
            unsafe X509_free(pointer)
            throw .unreadable("a certificate is not DER of X.509, or has bytes behind its end")
        }
        unsafe self.pointer = unsafe pointer
        self.certificate = certificate
    }

    deinit { unsafe X509_free(pointer) }

    /// Whether `signer` has the name and the key that signed this one.
    func isSigned(by signer: CertificateHandle) -> Bool {
        defer { ERR_clear_error() }
        guard unsafe X509_check_issued(signer.pointer, pointer) == X509_V_OK,
            let key = unsafe X509_get0_pubkey(signer.pointer)
        else { return false }
        return unsafe X509_verify(pointer, key) == 1
    }

    func isOf(_ key: CertificateKey) -> Bool {
        defer { ERR_clear_error() }
        return unsafe X509_check_private_key(pointer, key.pointer) == 1
    }
}
