internal import COpenSSL
internal import Identity

/// One SSL_CTX: certificate, protocol terms and callbacks that many sessions share.
///
/// OpenSSL counts references to it atomically and reads it under its own locks; nothing changes it
/// once it is made. So it is made on the control thread, and workers use it without asking.
@safe
final class TLSContext: @unchecked Sendable {
    /// How peers prove themselves.
    enum PeerProof { case none, optional, required }

    let handle: OpaquePointer

    /// TLS 1.2 with forward secrecy and AEAD only (RFC 9113, 9.2.2); TLS 1.3 has nothing else.
    private static let ciphers =
        "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"
        + "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:"
        + "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384"
    private static let groups = "X25519:P-256:P-384"

    /// Nil where memory ran out, or OpenSSL does not take an identity that was checked before.
    init?(isServer: Bool, identity: LocalIdentity?, proof: PeerProof) {
        let method = unsafe isServer ? TLS_server_method() : TLS_client_method()
        guard let handle = unsafe SSL_CTX_new(method) else { return nil }
        unsafe self.handle = handle
        unsafe weir_SSL_CTX_set_min_proto_version(handle, TLS1_2_VERSION)
        // An idle connection holds no record buffers.
        unsafe weir_SSL_CTX_set_mode(handle, Int(SSL_MODE_RELEASE_BUFFERS))
        unsafe weir_SSL_CTX_set_read_ahead(handle, 1)
        unsafe SSL_CTX_set_security_level(handle, 2)
        unsafe weir_SSL_CTX_harden(handle)
        guard unsafe SSL_CTX_set_cipher_list(handle, Self.ciphers) == 1,
            unsafe weir_SSL_CTX_set1_groups_list(handle, Self.groups) == 1
        else { return nil }
        var mode = SSL_VERIFY_NONE
        if proof != .none { mode |= SSL_VERIFY_PEER }
        if proof == .required { mode |= SSL_VERIFY_FAIL_IF_NO_PEER_CERT }
        unsafe SSL_CTX_set_verify(handle, mode, nil)
        unsafe SSL_CTX_set_cert_verify_callback(handle, verifyPeer, nil)
        if let identity, !use(identity) { return nil }
    }

    deinit { unsafe SSL_CTX_free(handle) }

    private func use(_ identity: LocalIdentity) -> Bool {
        let certificates = identity.chain.compactMap { X509Certificate(der: $0) }
        guard certificates.count == identity.chain.count, let first = certificates.first,
            unsafe SSL_CTX_use_certificate(handle, first.handle) == 1,
            usePrivateKey(identity.privateKeyPEM),
            unsafe SSL_CTX_check_private_key(handle) == 1
        else { return false }
        return certificates.dropFirst().allSatisfy {
            unsafe weir_SSL_CTX_add1_chain_cert(handle, $0.handle) == 1
        }
    }

    private func usePrivateKey(_ pem: [UInt8]) -> Bool {
        defer { ERR_clear_error() }
        return unsafe pem.withUnsafeBytes { bytes in
            let bio = unsafe BIO_new_mem_buf(bytes.baseAddress, Int32(clamping: bytes.count))
            guard let bio = unsafe bio else { return false }
            defer { unsafe BIO_free(bio) }
            guard let key = unsafe PEM_read_bio_PrivateKey(bio, nil, refusePassphrase, nil) else {
                return false
            }
            defer { unsafe EVP_PKEY_free(key) }
            return unsafe SSL_CTX_use_PrivateKey(handle, key) == 1
        }
    }
}

/// A certificate as OpenSSL holds it.
@safe
final class X509Certificate {
    let handle: OpaquePointer

    init?(der: [UInt8]) {
        let handle = unsafe der.withUnsafeBufferPointer { bytes in
            var start = bytes.baseAddress
            return unsafe d2i_X509(nil, &start, bytes.count)
        }
        guard let handle = unsafe handle else { return nil }
        unsafe self.handle = handle
    }

    deinit { unsafe X509_free(handle) }
}

/// Nobody is asked for a passphrase: an encrypted key is refused.
private let refusePassphrase:
    @convention(c) (UnsafeMutablePointer<CChar>?, CInt, CInt, UnsafeMutableRawPointer?) -> CInt = {
        _, _, _, _ in 0
    }

/// The chain that a peer shows is judged by `TLSSession.judge`, not by OpenSSL alone.
private let verifyPeer: @convention(c) (OpaquePointer?, UnsafeMutableRawPointer?) -> CInt = {
    verification, _ in
    guard let verification = unsafe verification,
        let ssl = unsafe weir_SSL_of_verification(verification),
        let session = unsafe SSL_get_ex_data(ssl, 0)
    else { return 0 }
    var chain: [[UInt8]] = []
    let stack = unsafe X509_STORE_CTX_get0_untrusted(verification)
    let count = unsafe weir_certificate_count(stack)
    for index in 0..<count {
        guard let certificate = unsafe weir_certificate_at(stack, index) else { continue }
        unsafe chain.append(derBytes(certificate))
    }
    let code = unsafe Borrowed<TLSSession>(session).use { $0.judge(chain) }
    unsafe X509_STORE_CTX_set_error(verification, code)
    return code == X509_V_OK ? 1 : 0
}

/// A certificate's DER.
func derBytes(_ certificate: OpaquePointer) -> [UInt8] {
    let count = unsafe i2d_X509(certificate, nil)
    guard count > 0 else { return [] }
    return unsafe [UInt8](unsafeUninitializedCapacity: Int(count)) { buffer, initialized in
        var end = buffer.baseAddress
        initialized = Int(max(0, unsafe i2d_X509(certificate, &end)))
    }
}
