internal import COpenSSL
public import Configuration
internal import Identity

/// A listener's side of TLS: a context for each of its identities, chosen by SNI (RFC 6066, 3).
///
/// HTTP/2 must be agreed on by ALPN (RFC 7301): a client that does not offer `h2` is refused with
/// the alert that says so. Sessions are resumed only where clients show no certificate: one that is
/// resumed would be believed after its certificate has expired or was revoked (CVE-2025-23419).
@safe
public final class ServerTLS: Sendable {
    public let terms: ServerTLSTerms
    private let contexts: [TLSContext]
    /// Keeps the ring alive that the contexts' callbacks use.
    private let tickets: TicketKeys

    public init?(_ terms: ServerTLSTerms, _ tickets: TicketKeys) {
        let proof: TLSContext.PeerProof =
            switch terms.clients {
            case .none: .none
            case .optional: .optional
            case .required: .required
            }
        let contexts = terms.identities.compactMap {
            TLSContext(isServer: true, identity: $0, proof: proof)
        }
        guard contexts.count == terms.identities.count, !contexts.isEmpty else { return nil }
        self.terms = terms
        self.contexts = contexts
        self.tickets = tickets
        for context in contexts {
            let handle = unsafe context.handle
            unsafe SSL_CTX_set_client_hello_cb(handle, helloReceived, nil)
            unsafe weir_SSL_CTX_set_servername_callback(handle, chooseIdentity, nil)
            unsafe SSL_CTX_set_alpn_select_cb(handle, selectHTTP2, nil)
            unsafe weir_SSL_CTX_set_session_cache_mode(handle, Int(SSL_SESS_CACHE_OFF))
            if terms.clients == .none {
                let ring = unsafe Borrowed(tickets).pointer
                unsafe weir_set_ticket_keys(handle, ring)
                unsafe SSL_CTX_set_tlsext_ticket_key_evp_cb(handle, chooseTicketKey)
                unsafe SSL_CTX_set_num_tickets(handle, 1)
            } else {
                unsafe weir_SSL_CTX_forbid_tickets(handle)
            }
        }
        announceAuthorities()
    }

    /// Names of the authorities that clients' certificates may come from, so that those with
    /// several know which to show.
    private func announceAuthorities() {
        for bundle in terms.trust {
            for authority in bundle.authorities {
                guard let certificate = X509Certificate(der: authority.der) else { continue }
                for context in contexts {
                    unsafe _ = SSL_CTX_add_client_CA(context.handle, certificate.handle)
                }
            }
        }
    }

    /// Nil where memory ran out.
    func makeSession(_ workspace: Workspace) -> TLSSession? {
        guard let ssl = unsafe SSL_new(contexts[0].handle) else { return nil }
        unsafe SSL_set_accept_state(ssl)
        let expectation = PeerExpectation(
            bundles: terms.trust, purpose: .client, patterns: [], dnsName: nil)
        return unsafe TLSSession(ssl, workspace, expectation, server: self)
    }

    /// The context for a name that a client asks for; nil where the first is right.
    fileprivate func context(named name: String) -> TLSContext? {
        guard contexts.count > 1 else { return nil }
        let index = terms.identities.firstIndex {
            $0.carries(serverName: name)
        }
        return index.flatMap { $0 == 0 ? nil : contexts[$0] }
    }
}

/// ALPN is required: without the extension OpenSSL would not ask anybody.
private let helloReceived:
    @convention(c) (OpaquePointer?, UnsafeMutablePointer<CInt>?, UnsafeMutableRawPointer?) -> CInt =
        { ssl, alert, _ in
            var bytes: UnsafePointer<UInt8>?
            var count = 0
            let type = UInt32(TLSEXT_TYPE_application_layer_protocol_negotiation)
            if unsafe SSL_client_hello_get0_ext(ssl, type, &bytes, &count) == 1 {
                return SSL_CLIENT_HELLO_SUCCESS
            }
            if let session = unsafe SSL_get_ex_data(ssl, 0) {
                unsafe Borrowed<TLSSession>(session).use { $0.note(.noALPN) }
            }
            unsafe alert?.pointee = SSL_AD_NO_APPLICATION_PROTOCOL
            return SSL_CLIENT_HELLO_ERROR
        }

private let chooseIdentity:
    @convention(c) (OpaquePointer?, UnsafeMutablePointer<CInt>?, UnsafeMutableRawPointer?) -> CInt =
        { ssl, _, _ in
            guard let text = unsafe SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name),
                let session = unsafe SSL_get_ex_data(ssl, 0)
            else { return SSL_TLSEXT_ERR_NOACK }
            let name = unsafe String(cString: text)
            let context = unsafe Borrowed<TLSSession>(session).use {
                $0.server?.context(named: name)
            }
            if let context { unsafe _ = SSL_set_SSL_CTX(ssl, context.handle) }
            return SSL_TLSEXT_ERR_OK
        }

private let selectHTTP2:
    @convention(c) (
        OpaquePointer?, UnsafeMutablePointer<UnsafePointer<UInt8>?>?, UnsafeMutablePointer<UInt8>?,
        UnsafePointer<UInt8>?, CUnsignedInt, UnsafeMutableRawPointer?
    ) -> CInt = { ssl, chosen, chosenCount, offered, count, _ in
        guard let offered = unsafe offered else { return SSL_TLSEXT_ERR_ALERT_FATAL }
        var index = 0
        while index + 2 < Int(count) {
            let size = Int(unsafe offered[index])
            if size == 2, unsafe offered[index + 1] == 0x68, unsafe offered[index + 2] == 0x32 {
                unsafe chosen?.pointee = offered + index + 1
                unsafe chosenCount?.pointee = 2
                return SSL_TLSEXT_ERR_OK
            }
            index += size + 1
        }
        if let session = unsafe SSL_get_ex_data(ssl, 0) {
            unsafe Borrowed<TLSSession>(session).use { $0.note(.noHTTP2) }
        }
        return SSL_TLSEXT_ERR_ALERT_FATAL
    }
