internal import COpenSSL

/// A revocation list to be signed (RFC 5280, 5).
struct RevocationListDraft {
    struct Entry: Hashable, Sendable {
        let serial: [UInt8]
        /// In seconds since 1970.
        let revokedAt: Int64
    }

    /// Grows with every list of an authority.
    var number: UInt64
    var thisUpdate: Int64
    var nextUpdate: Int64
    var entries: [Entry]

    func signed(
        issuer: CertificateHandle, by key: CertificateKey
    ) throws(CertificateError) -> [UInt8] {
        defer { ERR_clear_error() }
        guard let list = unsafe X509_CRL_new() else { throw .unfit("out of memory") }
        defer { unsafe X509_CRL_free(list) }
        guard unsafe fill(list, issuer: issuer) else {
            throw .unfit("the revocation list cannot be made")
        }
        guard unsafe X509_CRL_sign(list, key.pointer, key.digest("SHA256")) > 0 else {
            throw .unfit("the revocation list cannot be signed")
        }
        return unsafe DER.bytes { unsafe i2d_X509_CRL(list, $0) }
    }

    private func fill(_ list: OpaquePointer, issuer: CertificateHandle) -> Bool {
        guard unsafe X509_CRL_set_version(list, 1) == 1,
            unsafe X509_CRL_set_issuer_name(list, X509_get_subject_name(issuer.pointer)) == 1,
            let time = unsafe ASN1_TIME_set(nil, time_t(thisUpdate))
        else { return false }
        defer { unsafe ASN1_TIME_free(time) }
        guard unsafe X509_CRL_set1_lastUpdate(list, time) == 1,
            unsafe ASN1_TIME_set(time, time_t(nextUpdate)) != nil,
            unsafe X509_CRL_set1_nextUpdate(list, time) == 1
        else { return false }
        for entry in entries {
            guard unsafe Self.add(entry, to: list, time) else { return false }
        }
        unsafe X509_CRL_sort(list)
        let identifier = unsafe weir_new_extension(
            "authorityKeyIdentifier", "keyid:always", issuer.pointer, nil)
        guard let identifier = unsafe identifier else { return false }
        defer { unsafe X509_EXTENSION_free(identifier) }
        guard unsafe X509_CRL_add_ext(list, identifier, -1) == 1,
            let count = unsafe ASN1_INTEGER_new()
        else { return false }
        defer { unsafe ASN1_INTEGER_free(count) }
        guard unsafe ASN1_INTEGER_set_uint64(count, number) == 1 else { return false }
        return unsafe X509_CRL_add1_ext_i2d(list, NID_crl_number, count, 0, 0) == 1
    }

    private static func add(
        _ entry: Entry, to list: OpaquePointer, _ time: UnsafeMutablePointer<ASN1_TIME>
    ) -> Bool {
        guard let revoked = unsafe X509_REVOKED_new() else { return false }
        guard let serial = unsafe ASN1_INTEGER_new() else {
            unsafe X509_REVOKED_free(revoked)
            return false
        }
        defer { unsafe ASN1_INTEGER_free(serial) }
        // The list owns the entry once it was added.
        if unsafe ASN1.setInteger(serial, entry.serial),
            unsafe X509_REVOKED_set_serialNumber(revoked, serial) == 1,
            unsafe ASN1_TIME_set(time, time_t(entry.revokedAt)) != nil,
            unsafe X509_REVOKED_set_revocationDate(revoked, time) == 1,
            unsafe X509_CRL_add0_revoked(list, revoked) == 1
        {
            return true
        }
        unsafe X509_REVOKED_free(revoked)
        return false
    }
}
