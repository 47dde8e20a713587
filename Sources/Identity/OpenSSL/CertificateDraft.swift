internal import COpenSSL

/// A certificate to be signed.
struct CertificateDraft {
    struct Extension {
        let name: String
        /// In the language of x509v3_config(5): it must hold nothing that was not checked.
        let value: String
    }

    var organization = ""
    var commonName = ""
    /// Big-endian.
    var serial: [UInt8] = [1]
    var version = 3
    /// In seconds since 1970.
    var notBefore: Int64 = 0
    var notAfter: Int64 = 0
    var extensions: [Extension] = []
    var digest = "SHA256"

    /// - publicKey: SubjectPublicKeyInfo.
    /// - issuer: nil for a certificate that signs itself.
    func signed(
        publicKey: [UInt8], issuer: CertificateHandle?, by key: CertificateKey
    ) throws(CertificateError) -> [UInt8] {
        defer { ERR_clear_error() }
        guard let x509 = unsafe X509_new() else { throw .unfit("out of memory") }
        defer { unsafe X509_free(x509) }
        guard unsafe fill(x509, publicKey: publicKey, issuer: issuer) else {
            throw .unfit("its fields cannot be set")
        }
        for entry in extensions {
            let made = unsafe weir_new_extension(
                entry.name, entry.value, issuer?.pointer, x509)
            guard let made = unsafe made else {
                throw .unfit("its extension \(entry.name) cannot be \(entry.value)")
            }
            defer { unsafe X509_EXTENSION_free(made) }
            guard unsafe X509_add_ext(x509, made, -1) == 1 else { throw .unfit("out of memory") }
        }
        guard unsafe X509_sign(x509, key.pointer, key.digest(digest)) > 0 else {
            throw .unfit("it cannot be signed")
        }
        return unsafe DER.bytes { unsafe i2d_X509(x509, $0) }
    }

    private func fill(
        _ x509: OpaquePointer, publicKey: [UInt8], issuer: CertificateHandle?
    ) -> Bool {
        guard unsafe X509_set_version(x509, version - 1) == 1,
            unsafe ASN1.setInteger(X509_get_serialNumber(x509), serial),
            unsafe ASN1_TIME_set(X509_getm_notBefore(x509), time_t(notBefore)) != nil,
            unsafe ASN1_TIME_set(X509_getm_notAfter(x509), time_t(notAfter)) != nil
        else { return false }
        let parsed = unsafe publicKey.withUnsafeBufferPointer { bytes in
            var position = bytes.baseAddress
            return unsafe d2i_PUBKEY(nil, &position, bytes.count)
        }
        guard let parsed = unsafe parsed else { return false }
        defer { unsafe EVP_PKEY_free(parsed) }
        guard unsafe X509_set_pubkey(x509, parsed) == 1 else { return false }
        let parts = [(NID_organizationName, organization), (NID_commonName, commonName)]
        for (nid, value) in parts where !value.isEmpty {
            // RFC 5280, A.1: 64 characters at most.
            let text = Array(value.utf8.prefix(64))
            let name = unsafe X509_get_subject_name(x509)
            let length = CInt(text.count)
            guard
                unsafe X509_NAME_add_entry_by_NID(
                    name, nid, weir_utf8_string(), text, length, -1, 0) == 1
            else { return false }
        }
        let issuerName = unsafe X509_get_subject_name(issuer?.pointer ?? x509)
        return unsafe X509_set_issuer_name(x509, issuerName) == 1
    }
}

/// Values of ASN.1.
enum ASN1 {
    /// - bytes: the magnitude, big-endian.
    static func setInteger(_ integer: UnsafeMutablePointer<ASN1_INTEGER>?, _ bytes: [UInt8]) -> Bool
    {
        guard let number = unsafe BN_bin2bn(bytes, CInt(bytes.count), nil) else { return false }
        defer { unsafe BN_free(number) }
        return unsafe BN_to_ASN1_INTEGER(number, integer) != nil
    }
}
