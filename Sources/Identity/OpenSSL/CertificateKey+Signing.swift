internal import COpenSSL

extension CertificateKey {
    /// A signature with SHA-256, or of Ed25519 itself.
    func sign(_ message: [UInt8]) -> [UInt8]? {
        defer { ERR_clear_error() }
        guard let context = unsafe EVP_MD_CTX_new() else { return nil }
        defer { unsafe EVP_MD_CTX_free(context) }
        var count = 0
        let method = unsafe digest("SHA256")
        guard unsafe EVP_DigestSignInit(context, nil, method, nil, pointer) == 1,
            unsafe EVP_DigestSign(context, nil, &count, message, message.count) == 1
        else { return nil }
        var signature = [UInt8](repeating: 0, count: count)
        guard unsafe EVP_DigestSign(context, &signature, &count, message, message.count) == 1
        else { return nil }
        return Array(signature.prefix(count))
    }
}

extension CertificateHandle {
    /// Whether the certificate's key signed so.
    func verifies(_ signature: [UInt8], of message: [UInt8]) -> Bool {
        defer { ERR_clear_error() }
        guard let key = unsafe X509_get0_pubkey(pointer), let context = unsafe EVP_MD_CTX_new()
        else { return false }
        defer { unsafe EVP_MD_CTX_free(context) }
        let digest =
            unsafe EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519
            ? nil : unsafe EVP_get_digestbyname("SHA256")
        guard unsafe EVP_DigestVerifyInit(context, nil, digest, nil, key) == 1 else {
            return false
        }
        return unsafe EVP_DigestVerify(
            context, signature, signature.count, message, message.count) == 1
    }
}
