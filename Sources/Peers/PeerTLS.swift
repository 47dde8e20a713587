internal import COpenSSL

/// TLS at the other end of a connection, for the demo and the tests: bytes in, bytes out.
///
/// Not the code that Weir itself speaks TLS with: OpenSSL's own buffers, no callbacks.
@safe
public final class PeerTLS {
    public enum Role: Sendable { case client, server }

    /// Who this end is, whom it believes, and what it asks of the other.
    public struct Terms: Sendable {
        public var certificate: [UInt8]?
        public var privateKey: [UInt8]?
        public var authorities: [UInt8]
        /// SNI, of a client.
        public var serverName: String?
        /// Whether a server asks for a certificate.
        public var asksForCertificate = false
        /// When it is, in seconds since 1970, where that is not now.
        public var unixTime: Int64?

        public init(certificate: [UInt8]?, privateKey: [UInt8]?, authorities: [UInt8]) {
            self.certificate = certificate
            self.privateKey = privateKey
            self.authorities = authorities
        }
    }

    private let context: OpaquePointer
    private let ssl: OpaquePointer
    private let inbound: OpaquePointer
    private let outbound: OpaquePointer
    public private(set) var isEstablished = false
    /// Nothing more will come: the other end said so.
    public private(set) var hasEnded = false

    /// Nil where the files do not do.
    public init?(_ role: Role, _ terms: Terms) {
        let method = unsafe role == .client ? TLS_client_method() : TLS_server_method()
        guard let context = unsafe SSL_CTX_new(method) else { return nil }
        unsafe self.context = context
        guard unsafe Self.prepare(context, role, terms), let ssl = unsafe SSL_new(context),
            let inbound = unsafe BIO_new(BIO_s_mem()), let outbound = unsafe BIO_new(BIO_s_mem())
        else {
            unsafe SSL_CTX_free(context)
            return nil
        }
        unsafe self.ssl = ssl
        unsafe self.inbound = inbound
        unsafe self.outbound = outbound
        unsafe SSL_set_bio(ssl, inbound, outbound)
        switch role {
        case .client:
            unsafe SSL_set_connect_state(ssl)
            if let name = terms.serverName { unsafe _ = weir_SSL_set_tlsext_host_name(ssl, name) }
        case .server: unsafe SSL_set_accept_state(ssl)
        }
    }

    deinit {
        unsafe SSL_free(ssl)
        unsafe SSL_CTX_free(context)
    }

    @unsafe
    private static func prepare(_ context: OpaquePointer, _ role: Role, _ terms: Terms) -> Bool {
        unsafe weir_SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION)
        let store = unsafe SSL_CTX_get_cert_store(context)
        unsafe certificates(terms.authorities).forEach { certificate in
            unsafe _ = X509_STORE_add_cert(store, certificate)
            unsafe X509_free(certificate)
        }
        let asks = role == .client || terms.asksForCertificate
        let mode = asks ? SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT : SSL_VERIFY_NONE
        unsafe SSL_CTX_set_verify(context, mode, nil)
        if let time = terms.unixTime {
            unsafe X509_VERIFY_PARAM_set_time(SSL_CTX_get0_param(context), Int(time))
        }
        let protocols: [UInt8] = [2, 0x68, 0x32]
        if role == .client {
            unsafe _ = SSL_CTX_set_alpn_protos(context, protocols, UInt32(protocols.count))
        } else {
            unsafe SSL_CTX_set_alpn_select_cb(context, selectFirst, nil)
            // A ticket has the system's time in it: simulated histories would differ by it.
            unsafe weir_SSL_CTX_forbid_tickets(context)
            unsafe _ = weir_SSL_CTX_set_session_cache_mode(context, Int(SSL_SESS_CACHE_OFF))
        }
        guard let certificate = terms.certificate, let key = terms.privateKey else { return true }
        let chain = unsafe certificates(certificate)
        defer { unsafe chain.forEach { unsafe X509_free($0) } }
        guard let first = unsafe chain.first,
            unsafe SSL_CTX_use_certificate(context, first) == 1
        else { return false }
        unsafe chain.dropFirst().forEach {
            unsafe _ = weir_SSL_CTX_add1_chain_cert(context, $0)
        }
        return unsafe read(key) { bio in
            guard let key = unsafe PEM_read_bio_PrivateKey(bio, nil, nil, nil) else {
                return false
            }
            defer { unsafe EVP_PKEY_free(key) }
            return unsafe SSL_CTX_use_PrivateKey(context, key) == 1
        } ?? false
    }

    @unsafe
    private static func certificates(_ pem: [UInt8]) -> [OpaquePointer] {
        let found = unsafe read(pem) { bio in
            var found: [OpaquePointer] = unsafe []
            while let next = unsafe PEM_read_bio_X509(bio, nil, nil, nil) {
                unsafe found.append(next)
            }
            ERR_clear_error()
            return unsafe found
        }
        return unsafe found ?? []
    }

    @unsafe
    private static func read<Result>(
        _ bytes: [UInt8], _ body: (OpaquePointer) -> Result
    ) -> Result? {
        unsafe bytes.withUnsafeBytes { bytes in
            let bio = unsafe BIO_new_mem_buf(bytes.baseAddress, Int32(clamping: bytes.count))
            guard let bio = unsafe bio else { return nil }
            defer { unsafe BIO_free(bio) }
            return unsafe body(bio)
        }
    }

    /// DER of what the other end has shown and proven to hold; nil where it showed none.
    public var peerCertificate: [UInt8]? {
        guard isEstablished, let certificate = unsafe SSL_get1_peer_certificate(ssl) else {
            return nil
        }
        defer { unsafe X509_free(certificate) }
        var bytes = [UInt8](repeating: 0, count: Int(max(0, unsafe i2d_X509(certificate, nil))))
        unsafe bytes.withUnsafeMutableBufferPointer { buffer in
            // i2d_X509 moves the pointer that it is given.
            var end = buffer.baseAddress
            unsafe _ = i2d_X509(certificate, &end)
        }
        return bytes
    }

    // MARK: Verbs

    /// Takes what was read; gives what it says. Nil where TLS failed: `takeOutput` may have an
    /// alert.
    public func open(_ bytes: [UInt8]) -> [UInt8]? {
        unsafe _ = BIO_write(inbound, bytes, Int32(clamping: bytes.count))
        guard shakeHands() else { return nil }
        var plain: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 16_384)
        while isEstablished {
            ERR_clear_error()
            let count = unsafe SSL_read(ssl, &buffer, Int32(buffer.count))
            if count > 0 {
                plain += buffer[..<Int(count)]
                continue
            }
            switch unsafe SSL_get_error(ssl, count) {
            case SSL_ERROR_WANT_READ: return plain
            case SSL_ERROR_ZERO_RETURN:
                hasEnded = true
                return plain
            default: return nil
            }
        }
        return plain
    }

    /// Begins, or goes on; false where it failed.
    public func shakeHands() -> Bool {
        if isEstablished { return true }
        ERR_clear_error()
        let result = unsafe SSL_do_handshake(ssl)
        if result == 1 {
            isEstablished = true
            return true
        }
        return unsafe SSL_get_error(ssl, result) == SSL_ERROR_WANT_READ
    }

    /// Seals what is to be sent; only once established.
    public func seal(_ bytes: [UInt8]) {
        guard isEstablished, !bytes.isEmpty else { return }
        ERR_clear_error()
        unsafe _ = SSL_write(ssl, bytes, Int32(clamping: bytes.count))
    }

    /// What is to be written to the socket.
    public func takeOutput() -> [UInt8] {
        let count = unsafe BIO_ctrl_pending(outbound)
        guard count > 0 else { return [] }
        var bytes = [UInt8](repeating: 0, count: count)
        let taken = unsafe BIO_read(outbound, &bytes, Int32(clamping: count))
        return Array(bytes.prefix(Int(max(0, taken))))
    }
}

private let selectFirst:
    @convention(c) (
        OpaquePointer?, UnsafeMutablePointer<UnsafePointer<UInt8>?>?, UnsafeMutablePointer<UInt8>?,
        UnsafePointer<UInt8>?, CUnsignedInt, UnsafeMutableRawPointer?
    ) -> CInt = { _, chosen, chosenCount, offered, count, _ in
        guard let offered = unsafe offered, count >= 3, unsafe offered[0] == 2 else {
            return SSL_TLSEXT_ERR_ALERT_FATAL
        }
        unsafe chosen?.pointee = offered + 1
        unsafe chosenCount?.pointee = 2
        return SSL_TLSEXT_ERR_OK
    }
