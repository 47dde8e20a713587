internal import COpenSSL
public import Configuration
internal import Identity

/// An upstream's side of TLS: who Weir is to its servers and who they must be.
///
/// A session is resumed only after the chain that it was verified with was judged again, by
/// today's time, authorities and revocations: `TLSSession.handshake`.
@safe
public final class ClientTLS: Sendable {
    public let terms: ClientTLSTerms
    private let context: TLSContext
    private static let protocols: [UInt8] = [2, 0x68, 0x32]

    public init?(_ terms: ClientTLSTerms) {
        guard let context = TLSContext(isServer: false, identity: terms.identity, proof: .required)
        else { return nil }
        self.terms = terms
        self.context = context
        let handle = unsafe context.handle
        unsafe _ = SSL_CTX_set_alpn_protos(handle, Self.protocols, UInt32(Self.protocols.count))
        // Kept by the endpoint, one each, not by OpenSSL.
        let mode = SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL
        unsafe weir_SSL_CTX_set_session_cache_mode(handle, Int(mode))
        unsafe SSL_CTX_sess_set_new_cb(handle, keepSession)
    }

    /// - earlier: what an earlier connection to the same server left. Nil where memory ran out.
    func makeSession(_ workspace: Workspace, resuming earlier: TLSResumption?) -> TLSSession? {
        guard let ssl = unsafe SSL_new(context.handle) else { return nil }
        unsafe SSL_set_connect_state(ssl)
        if let name = terms.serverName {
            unsafe _ = weir_SSL_set_tlsext_host_name(ssl, name)
        }
        if let earlier { unsafe _ = SSL_set_session(ssl, earlier.handle) }
        let expectation = PeerExpectation(
            bundles: terms.trust, purpose: .server, patterns: terms.peers, dnsName: terms.dnsName)
        return unsafe TLSSession(ssl, workspace, expectation, server: nil)
    }
}

/// A session that a server may resume.
@safe
final class TLSResumption {
    fileprivate let handle: OpaquePointer

    @unsafe
    init(_ handle: OpaquePointer) { unsafe self.handle = handle }

    deinit { unsafe SSL_SESSION_free(handle) }
}

/// 1 keeps the reference that OpenSSL hands over.
private let keepSession: @convention(c) (OpaquePointer?, OpaquePointer?) -> CInt = { ssl, made in
    guard let ssl = unsafe ssl, let made = unsafe made, let data = unsafe SSL_get_ex_data(ssl, 0)
    else { return 0 }
    let resumption = unsafe TLSResumption(made)
    unsafe Borrowed<TLSSession>(data).use { $0.keep(resumption) }
    return 1
}
