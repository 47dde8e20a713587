internal import COpenSSL

/// Owns an `X509_STORE`: authorities, and lists of what they revoked.
@safe final class CertificateStore: Sendable {
    // Proof: OpenSSL locks it wherever it reads or changes it (X509_STORE_lock), it is not changed
    // after init, and it is freed in deinit, when nobody else can hold it.
    nonisolated(unsafe) private let pointer: OpaquePointer

    init(
        authorities: [CertificateHandle], revocationLists: [RevocationListHandle]
    ) throws(CertificateError) {
        defer { ERR_clear_error() }
        guard let store = unsafe X509_STORE_new() else { throw .unreadable("out of memory") }
        unsafe pointer = unsafe store
        // A configured authority is an anchor, self-signed or not (PARTIAL_CHAIN).
        var flags = X509_V_FLAG_X509_STRICT | X509_V_FLAG_PARTIAL_CHAIN
        if !revocationLists.isEmpty { flags |= X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL }
        unsafe X509_STORE_set_flags(store, UInt(flags))
        let parameters = unsafe X509_STORE_get0_param(store)
        // 112 bits of security: no SHA-1, no RSA below 2048 bits.
        unsafe X509_VERIFY_PARAM_set_auth_level(parameters, 2)
        unsafe X509_VERIFY_PARAM_set_depth(parameters, CInt(PeerVerification.chainMax))
        for authority in authorities {
            guard unsafe X509_STORE_add_cert(store, authority.pointer) == 1 else {
                throw .unreadable("out of memory")
            }
        }
        for list in revocationLists {
            guard unsafe X509_STORE_add_crl(store, list.pointer) == 1 else {
                throw .unreadable("out of memory")
            }
        }
    }

    deinit { unsafe X509_STORE_free(pointer) }

    /// The path from a leaf to an anchor (RFC 5280, 6).
    ///
    /// - chain: the leaf first, then what helps.
    func verify(
        _ chain: [CertificateHandle], for purpose: PeerVerification.Purpose,
        at unixSeconds: Int64
    ) -> Result<[Certificate], PeerRefusal> {
        defer { ERR_clear_error() }
        let subject = chain[0].certificate.name
        guard let context = unsafe X509_STORE_CTX_new(), let others = unsafe weir_x509_stack_new()
        else { return .failure(.untrusted(subject: subject, "out of memory")) }
        defer {
            unsafe X509_STORE_CTX_free(context)
            unsafe weir_x509_stack_free(others)
        }
        for other in chain.dropFirst() {
            guard unsafe weir_x509_stack_push(others, other.pointer) == 1 else {
                return .failure(.untrusted(subject: subject, "out of memory"))
            }
        }
        guard unsafe X509_STORE_CTX_init(context, pointer, chain[0].pointer, others) == 1,
            unsafe X509_STORE_CTX_set_purpose(context, purpose.number) == 1
        else { return .failure(.untrusted(subject: subject, "out of memory")) }
        unsafe X509_VERIFY_PARAM_set_time(
            X509_STORE_CTX_get0_param(context), time_t(unixSeconds))
        unsafe weir_set_verify_callback(context)
        guard unsafe X509_verify_cert(context) == 1 else {
            return .failure(unsafe Self.refusal(context, leaf: chain[0].certificate))
        }
        return unsafe Self.path(context, leaf: chain[0].certificate)
    }

    private static func path(
        _ context: OpaquePointer, leaf: Certificate
    ) -> Result<[Certificate], PeerRefusal> {
        let stack = unsafe X509_STORE_CTX_get0_chain(context)
        var path = [leaf]
        for index in 1..<max(unsafe weir_x509_stack_count(stack), 1) {
            guard let x509 = unsafe weir_x509_stack_value(stack, index),
                let certificate = unsafe CertificateHandle.read(x509)
            else { return .failure(.untrusted(subject: leaf.name, "its path cannot be read")) }
            path.append(certificate)
        }
        return .success(path)
    }

    private static func refusal(_ context: OpaquePointer, leaf: Certificate) -> PeerRefusal {
        let code = unsafe X509_STORE_CTX_get_error(context)
        let current = unsafe X509_STORE_CTX_get_current_cert(context)
        let certificate = unsafe current.flatMap { unsafe CertificateHandle.read($0) } ?? leaf
        let subject = certificate.name
        let words =
            unsafe X509_verify_cert_error_string(Int(code)).map {
                unsafe String(cString: $0)
            } ?? "error \(code)"
        switch code {
        case X509_V_ERR_CERT_HAS_EXPIRED:
            return .expired(subject: subject, since: certificate.notAfter)
        case X509_V_ERR_CERT_NOT_YET_VALID:
            return .notYetValid(subject: subject, until: certificate.notBefore)
        case X509_V_ERR_CERT_REVOKED: return .revoked(subject: subject)
        case let code where revocationErrors.contains(code):
            return .revocationUnknown(subject: subject, words)
        case let code where pathErrors.contains(code):
            return .untrusted(subject: leaf.name, words)
        default: return .unfit(subject: subject, words)
        }
    }

    /// There is no list to go by.
    private static let revocationErrors: Set<CInt> = [
        X509_V_ERR_UNABLE_TO_GET_CRL, X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER,
        X509_V_ERR_UNABLE_TO_DECRYPT_CRL_SIGNATURE, X509_V_ERR_CRL_SIGNATURE_FAILURE,
        X509_V_ERR_CRL_NOT_YET_VALID, X509_V_ERR_CRL_HAS_EXPIRED,
        X509_V_ERR_ERROR_IN_CRL_LAST_UPDATE_FIELD, X509_V_ERR_ERROR_IN_CRL_NEXT_UPDATE_FIELD,
        X509_V_ERR_KEYUSAGE_NO_CRL_SIGN, X509_V_ERR_UNHANDLED_CRITICAL_CRL_EXTENSION,
        X509_V_ERR_DIFFERENT_CRL_SCOPE, X509_V_ERR_CRL_PATH_VALIDATION_ERROR,
    ]

    /// There is no path to an authority that is believed.
    private static let pathErrors: Set<CInt> = [
        X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT, X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY,
        X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE, X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT,
        X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN, X509_V_ERR_CERT_SIGNATURE_FAILURE,
        X509_V_ERR_CERT_UNTRUSTED, X509_V_ERR_CERT_CHAIN_TOO_LONG,
    ]
}

extension PeerVerification.Purpose {
    fileprivate var number: CInt {
        switch self {
        case .client: X509_PURPOSE_SSL_CLIENT
        case .server: X509_PURPOSE_SSL_SERVER
        }
    }
}
