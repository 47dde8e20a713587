internal import COpenSSL

/// Owns an `X509_REQ` (PKCS #10, RFC 2986).
@safe final class RequestHandle {
    private let pointer: OpaquePointer

    /// Refuses what its own key did not sign.
    init(der: [UInt8]) throws(CertificateError) {
        guard der.count <= Certificate.bytesMax else {
            throw .unreadable(
                "the request has \(der.count) bytes, of \(Certificate.bytesMax) allowed")
        }
        defer { ERR_clear_error() }
        let parsed = unsafe der.withUnsafeBufferPointer { bytes in
            var position = bytes.baseAddress
            return unsafe d2i_X509_REQ(nil, &position, bytes.count)
        }
        guard let pointer = unsafe parsed else { throw .unreadable("it is not DER of PKCS #10") }
        unsafe self.pointer = unsafe pointer
        if let problem = CertificateRules.problem(of: key) { throw .unfit(problem) }
        guard unsafe X509_REQ_verify(pointer, X509_REQ_get0_pubkey(pointer)) == 1 else {
            throw .unfit("it is not signed with the key that it asks a certificate for")
        }
    }

    deinit { unsafe X509_REQ_free(pointer) }

    var key: Certificate.Key { unsafe CertificateHandle.key(X509_REQ_get0_pubkey(pointer)) }

    /// SubjectPublicKeyInfo.
    var publicKey: [UInt8] {
        let key = unsafe X509_REQ_get0_pubkey(pointer)
        return unsafe DER.bytes { unsafe i2d_PUBKEY(key, $0) }
    }

    /// The names it asks for.
    func names() throws(CertificateError) -> (uris: [[UInt8]], dnsNames: [String]) {
        defer { ERR_clear_error() }
        var critical: CInt = 0
        let found = unsafe weir_request_names(pointer, &critical)
        guard let found = unsafe found else {
            if critical == -1 { return ([], []) }
            throw .unreadable("its names cannot be read")
        }
        defer { unsafe GENERAL_NAMES_free(found) }
        return try unsafe CertificateHandle.names(found)
    }

    /// DER of a request for names that were checked.
    ///
    /// - names: in the language of x509v3_config(5).
    static func make(names: String, key: CertificateKey) throws(CertificateError) -> [UInt8] {
        defer { ERR_clear_error() }
        guard let request = unsafe X509_REQ_new() else { throw .unfit("out of memory") }
        defer { unsafe X509_REQ_free(request) }
        guard unsafe X509_REQ_set_version(request, 0) == 1,
            unsafe X509_REQ_set_pubkey(request, key.pointer) == 1
        else { throw .unfit("out of memory") }
        if !names.isEmpty {
            let made = unsafe weir_new_extension("subjectAltName", names, nil, nil)
            guard let made = unsafe made else { throw .unfit("it cannot ask for \(names)") }
            defer { unsafe X509_EXTENSION_free(made) }
            guard unsafe weir_request_add_extension(request, made) == 1 else {
                throw .unfit("out of memory")
            }
        }
        guard unsafe X509_REQ_sign(request, key.pointer, key.digest("SHA256")) > 0 else {
            throw .unfit("it cannot be signed")
        }
        return unsafe DER.bytes { unsafe i2d_X509_REQ(request, $0) }
    }
}
