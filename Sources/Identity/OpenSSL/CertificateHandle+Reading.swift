internal import COpenSSL

extension CertificateHandle {
    /// nil where a date cannot be read.
    static func read(_ x509: OpaquePointer) -> Certificate? {
        let der = unsafe DER.bytes { unsafe i2d_X509(x509, $0) }
        guard !der.isEmpty else { return nil }
        return unsafe read(x509, der: der)
    }

    static func read(_ x509: OpaquePointer, der: [UInt8]) -> Certificate? {
        defer { ERR_clear_error() }
        var certificate = Certificate()
        guard let notBefore = unsafe seconds(X509_get0_notBefore(x509)),
            let notAfter = unsafe seconds(X509_get0_notAfter(x509))
        else { return nil }
        certificate.notBefore = notBefore
        certificate.notAfter = notAfter
        certificate.der = der
        certificate.fingerprint = CertificateDigest.sha256(der)
        certificate.subject = unsafe text(X509_get_subject_name(x509))
        certificate.issuer = unsafe text(X509_get_issuer_name(x509))
        certificate.version = unsafe X509_get_version(x509) + 1
        unsafe readSerial(x509, into: &certificate)
        certificate.key = unsafe key(X509_get0_pubkey(x509))
        certificate.isSignedStrongly = unsafe isSignedStrongly(x509)
        unsafe readExtensions(x509, into: &certificate)
        return certificate
    }

    private static func readSerial(_ x509: OpaquePointer, into certificate: inout Certificate) {
        guard let serial = unsafe X509_get0_serialNumber(x509) else { return }
        certificate.serial = Array(unsafe bytes(serial).drop { $0 == 0 })
        certificate.isSerialNegative = unsafe ASN1_STRING_type(serial) == V_ASN1_NEG_INTEGER
    }

    private static func readExtensions(_ x509: OpaquePointer, into certificate: inout Certificate) {
        // Has OpenSSL read them: the flags say what it made of them.
        let flags = unsafe X509_get_extension_flags(x509)
        certificate.isAuthority = flags & UInt32(EXFLAG_CA) != 0
        certificate.isSelfIssued = flags & UInt32(EXFLAG_SS) != 0
        if flags & UInt32(EXFLAG_KUSAGE) != 0 {
            certificate.usage = Certificate.Usage(rawValue: unsafe X509_get_key_usage(x509))
        }
        if flags & UInt32(EXFLAG_INVALID) != 0 {
            certificate.defect = "one of its extensions is broken or there twice"
        }
        var seen: Set<String> = []
        let count = unsafe X509_get_ext_count(x509)
        for index in 0..<count {
            let entry = unsafe X509_get_ext(x509, index)
            let name = unsafe oid(X509_EXTENSION_get_object(entry))
            if !seen.insert(name).inserted {
                certificate.defect = "its extension \(name) is there twice"
            }
            guard unsafe X509_EXTENSION_get_critical(entry) == 1 else { continue }
            let nid = unsafe OBJ_obj2nid(X509_EXTENSION_get_object(entry))
            if nid == NID_key_usage { certificate.isUsageCritical = true }
            if !processed.contains(nid) {
                certificate.defect = "its critical extension \(name) is not understood"
            }
        }
        unsafe readPurposes(x509, into: &certificate)
        unsafe readNames(x509, into: &certificate)
        unsafe readConstraints(x509, into: &certificate)
    }

    /// Extensions that path validation or Weir acts upon. Not among them, though OpenSSL knows
    /// them: constraints of policies, which it leaves out unless asked, and proxies.
    private static let processed: Set<CInt> = [
        NID_basic_constraints, NID_key_usage, NID_ext_key_usage, NID_subject_alt_name,
        NID_name_constraints, NID_certificate_policies, NID_subject_key_identifier,
        NID_authority_key_identifier,
    ]

    private static func readPurposes(_ x509: OpaquePointer, into certificate: inout Certificate) {
        guard let usages = unsafe parsed(x509, NID_ext_key_usage, &certificate) else { return }
        defer { unsafe EXTENDED_KEY_USAGE_free(usages) }
        var purposes: Certificate.Purposes = []
        let count = unsafe weir_usages_count(usages)
        for index in 0..<count {
            switch unsafe weir_usage_nid(usages, index) {
            case NID_server_auth: purposes.insert(.server)
            case NID_client_auth: purposes.insert(.client)
            default: purposes.insert(.other)
            }
        }
        certificate.purposes = purposes
    }

    private static func readNames(_ x509: OpaquePointer, into certificate: inout Certificate) {
        guard let names = unsafe parsed(x509, NID_subject_alt_name, &certificate) else { return }
        defer { unsafe GENERAL_NAMES_free(names) }
        do throws(CertificateError) {
            (certificate.uris, certificate.dnsNames) = try unsafe Self.names(names)
        } catch {
            certificate.defect = "\(error)"
        }
    }

    /// URIs, and DNS names in lower case.
    static func names(
        _ names: OpaquePointer
    ) throws(CertificateError) -> (uris: [[UInt8]], dnsNames: [String]) {
        var uris: [[UInt8]] = []
        var dnsNames: [String] = []
        let count = unsafe weir_general_names_count(names)
        for index in 0..<count {
            let type = unsafe weir_general_name_type(names, index)
            guard type == NameType.dns || type == NameType.uri else { continue }
            let text = unsafe bytes(weir_general_name_text(names, index))
            if type == NameType.uri {
                uris.append(text)
            } else if let name = dnsName(text) {
                dnsNames.append(name)
            } else {
                throw .unfit("one of its DNS names is none")
            }
        }
        return (uris, dnsNames)
    }

    /// Letters, digits, `-`, `_`, `.` and `*`, in lower case; at most 253 bytes.
    private static func dnsName(_ text: [UInt8]) -> String? {
        guard (1...253).contains(text.count) else { return nil }
        var name: [UInt8] = []
        for byte in text {
            switch byte {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"): name.append(byte | 0x20)
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"),
                UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: "*"):
                name.append(byte)
            default: return nil
            }
        }
        return String(decoding: name, as: UTF8.self)
    }

    private static func readConstraints(
        _ x509: OpaquePointer, into certificate: inout Certificate
    ) {
        guard let found = unsafe parsed(x509, NID_name_constraints, &certificate) else { return }
        let constraints = unsafe UnsafeMutablePointer<NAME_CONSTRAINTS>(found)
        certificate.excludesNames = unsafe constraints.pointee.excludedSubtrees != nil
        unsafe NAME_CONSTRAINTS_free(constraints)
    }

    /// An extension's value, which the caller frees; a broken one is a defect.
    private static func parsed(
        _ x509: OpaquePointer, _ nid: CInt, _ certificate: inout Certificate
    ) -> OpaquePointer? {
        var critical: CInt = 0
        let value = unsafe X509_get_ext_d2i(x509, nid, &critical, nil)
        if unsafe value == nil, critical != -1 {
            certificate.defect = "one of its extensions is broken or there twice"
        }
        return unsafe value.map { OpaquePointer($0) }
    }
}

/// Types of general names (RFC 5280, 4.2.1.6).
private enum NameType {
    static let dns = CInt(GEN_DNS)
    static let uri = CInt(GEN_URI)
}

// MARK: Values

extension CertificateHandle {
    static func bytes(_ string: UnsafePointer<ASN1_STRING>?) -> [UInt8] {
        let count = unsafe Int(ASN1_STRING_length(string))
        guard count > 0, let start = unsafe ASN1_STRING_get0_data(string) else { return [] }
        return unsafe Array(UnsafeBufferPointer(start: start, count: count))
    }

    /// Seconds since 1970; nil for what is no time.
    static func seconds(_ time: UnsafePointer<ASN1_TIME>?) -> Int64? {
        guard let epoch = unsafe ASN1_TIME_set(nil, 0) else { return nil }
        defer { unsafe ASN1_TIME_free(epoch) }
        var days: CInt = 0
        var seconds: CInt = 0
        guard unsafe time != nil, unsafe ASN1_TIME_diff(&days, &seconds, epoch, time) == 1 else {
            return nil
        }
        return Int64(days) * 86_400 + Int64(seconds)
    }

    /// A distinguished name on one line, for people: the first 200 bytes, control characters and
    /// what is not ASCII escaped.
    static func text(_ name: OpaquePointer?) -> String {
        var buffer = [CChar](repeating: 0, count: 201)
        guard unsafe X509_NAME_oneline(name, &buffer, CInt(buffer.count)) != nil else { return "" }
        return string(buffer)
    }

    private static func oid(_ object: OpaquePointer?) -> String {
        var buffer = [CChar](repeating: 0, count: 128)
        unsafe OBJ_obj2txt(&buffer, CInt(buffer.count), object, 1)
        return string(buffer)
    }

    private static func string(_ buffer: [CChar]) -> String {
        String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    static func key(_ key: OpaquePointer?) -> Certificate.Key {
        guard let key = unsafe key else { return .other("of an unknown kind") }
        switch unsafe EVP_PKEY_get_base_id(key) {
        case EVP_PKEY_RSA: return .rsa(bits: Int(unsafe EVP_PKEY_get_bits(key)))
        case EVP_PKEY_ED25519: return .ed25519
        case EVP_PKEY_EC: return unsafe curve(of: key)
        default:
            guard let name = unsafe EVP_PKEY_get0_type_name(key) else {
                return .other("of an unknown kind")
            }
            return .other(unsafe String(cString: name))
        }
    }

    private static func curve(of key: OpaquePointer) -> Certificate.Key {
        var isExplicit: CInt = 0
        unsafe EVP_PKEY_get_int_param(
            key, OSSL_PKEY_PARAM_EC_DECODED_FROM_EXPLICIT_PARAMS, &isExplicit)
        var buffer = [CChar](repeating: 0, count: 64)
        guard isExplicit == 0,
            unsafe EVP_PKEY_get_group_name(key, &buffer, buffer.count, nil) == 1
        else { return .other("EC on a curve without a name") }
        switch string(buffer) {
        case SN_X9_62_prime256v1: return .p256
        case SN_secp384r1: return .p384
        case SN_secp521r1: return .p521
        case let name: return .other("EC on \(name)")
        }
    }

    private static func isSignedStrongly(_ x509: OpaquePointer) -> Bool {
        var digest: CInt = 0
        var key: CInt = 0
        guard unsafe X509_get_signature_info(x509, &digest, &key, nil, nil) == 1 else {
            return false
        }
        return [NID_sha256, NID_sha384, NID_sha512].contains(digest) || key == NID_ED25519
    }
}
