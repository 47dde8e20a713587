internal import COpenSSL

/// A private key that tokens are signed with.
@safe public final class SigningKey: Sendable {
    public static let rsaBitsMin = 2_048
    public static let rsaBitsMax = 8_192
    /// A PEM file has no reason to be longer.
    public static let pemBytesMax = 65_536

    public let kind: KeyKind
    // Proof: as for `SignatureKey`.
    nonisolated(unsafe) private let key: OpaquePointer

    /// A new key of a kind; nil for secrets, and where OpenSSL fails.
    public convenience init?(generating kind: KeyKind, rsaBits: Int = 3_072) {
        ERR_clear_error()
        let made: OpaquePointer?
        switch kind {
        case .rsa:
            guard (Self.rsaBitsMin...Self.rsaBitsMax).contains(rsaBits) else { return nil }
            unsafe made = unsafe weir_RSA_gen(UInt32(rsaBits))
        case .p256: unsafe made = unsafe weir_EC_gen("P-256")
        case .p384: unsafe made = unsafe weir_EC_gen("P-384")
        case .p521: unsafe made = unsafe weir_EC_gen("P-521")
        case .ed25519: unsafe made = unsafe weir_ED25519_gen()
        case .secret: return nil
        }
        unsafe self.init(owning: made)
    }

    /// The first private key of a PEM text without a passphrase, if it is of a kind for tokens.
    public convenience init?(pem: [UInt8]) {
        guard let bio = unsafe Self.memory(pem) else { return nil }
        defer { unsafe BIO_free(bio) }
        unsafe self.init(owning: weir_PEM_read_PrivateKey(bio))
    }

    /// Frees the key where it is of no use here.
    private init?(owning key: OpaquePointer?) {
        guard let key = unsafe key else { return nil }
        guard let kind = unsafe PublicKeyParts.kind(of: key) else {
            unsafe EVP_PKEY_free(key)
            return nil
        }
        self.kind = kind
        unsafe self.key = unsafe key
    }

    deinit { unsafe EVP_PKEY_free(key) }

    /// PKCS #8, not encrypted.
    public var pem: [UInt8]? {
        guard let bio = unsafe BIO_new(BIO_s_mem()) else { return nil }
        defer { unsafe BIO_free(bio) }
        guard unsafe weir_PEM_write_PrivateKey(bio, key) == 1 else { return nil }
        var data: UnsafeMutablePointer<CChar>?
        let count = unsafe weir_BIO_get_mem_data(bio, &data)
        guard let data = unsafe data, count > 0 else { return nil }
        let bytes = unsafe UnsafeRawBufferPointer(start: data, count: count)
        return unsafe Array(bytes)
    }

    public var publicParts: PublicKeyParts? { unsafe PublicKeyParts(of: key, kind) }

    /// A signature as tokens have it.
    public func sign(_ message: [UInt8], _ algorithm: TokenAlgorithm) -> [UInt8]? {
        ERR_clear_error()
        guard kind.fits(algorithm), let context = unsafe EVP_MD_CTX_new() else { return nil }
        defer { unsafe EVP_MD_CTX_free(context) }
        var keyContext: OpaquePointer?
        let digest = unsafe SignatureKey.digest(algorithm)
        var count = 0
        guard unsafe EVP_DigestSignInit(context, &keyContext, digest, nil, key) == 1,
            unsafe SignatureKey.pad(keyContext, algorithm)
        else { return nil }
        var signature = [UInt8](repeating: 0, count: Int(unsafe EVP_PKEY_get_size(key)))
        count = signature.count
        let isMade = unsafe message.withUnsafeBufferPointer { message in
            unsafe signature.withUnsafeMutableBufferPointer { signature in
                unsafe EVP_DigestSign(
                    context, signature.baseAddress, &count, message.baseAddress, message.count)
                    == 1
            }
        }
        guard isMade, count <= signature.count else { return nil }
        signature.removeLast(signature.count - count)
        guard algorithm.family == .ecdsa else { return signature }
        return KeyDER.halves(fromSignature: signature, of: kind)
    }

    static func memory(_ bytes: [UInt8]) -> OpaquePointer? {
        ERR_clear_error()
        guard bytes.count <= pemBytesMax, let bio = unsafe BIO_new(BIO_s_mem()) else { return nil }
        let written = unsafe bytes.withUnsafeBytes { bytes in
            unsafe BIO_write(bio, bytes.baseAddress, CInt(bytes.count))
        }
        if Int(written) == bytes.count { return unsafe bio }
        unsafe BIO_free(bio)
        return nil
    }
}

/// What a public key consists of.
public struct PublicKeyParts: Hashable, Sendable {
    public let kind: KeyKind
    /// Modulus and exponent, or both coordinates, or the key itself; the highest byte first.
    public let numbers: [[UInt8]]

    /// The first public key, or private key's public half, of a PEM text.
    public init?(pem: [UInt8]) {
        if let key = SigningKey(pem: pem) {
            guard let parts = key.publicParts else { return nil }
            self = parts
            return
        }
        guard let bio = unsafe SigningKey.memory(pem) else { return nil }
        defer { unsafe BIO_free(bio) }
        guard let key = unsafe weir_PEM_read_PUBKEY(bio) else { return nil }
        defer { unsafe EVP_PKEY_free(key) }
        guard let kind = unsafe Self.kind(of: key), let parts = unsafe Self(of: key, kind) else {
            return nil
        }
        self = parts
    }

    init?(of key: OpaquePointer, _ kind: KeyKind) {
        self.kind = kind
        switch kind {
        case .rsa:
            guard let modulus = unsafe Self.number(OSSL_PKEY_PARAM_RSA_N, of: key),
                let exponent = unsafe Self.number(OSSL_PKEY_PARAM_RSA_E, of: key)
            else { return nil }
            numbers = [modulus, exponent]
        case .p256, .p384, .p521:
            let length = kind.coordinateBytes
            guard let x = unsafe Self.number(OSSL_PKEY_PARAM_EC_PUB_X, of: key, length),
                let y = unsafe Self.number(OSSL_PKEY_PARAM_EC_PUB_Y, of: key, length)
            else { return nil }
            numbers = [x, y]
        case .ed25519:
            var bytes = [UInt8](repeating: 0, count: 32)
            var count = 32
            let isRead = unsafe bytes.withUnsafeMutableBufferPointer {
                unsafe EVP_PKEY_get_raw_public_key(key, $0.baseAddress, &count) == 1
            }
            guard isRead, count == 32 else { return nil }
            numbers = [bytes]
        case .secret: return nil
        }
    }

    private static func number(
        _ name: String, of key: OpaquePointer, _ length: Int = 0
    ) -> [UInt8]? {
        var number: OpaquePointer?
        guard unsafe EVP_PKEY_get_bn_param(key, name, &number) == 1, let number = unsafe number
        else { return nil }
        defer { unsafe BN_free(number) }
        let count = max((Int(unsafe BN_num_bits(number)) + 7) / 8, length)
        var bytes = [UInt8](repeating: 0, count: count)
        let written = unsafe bytes.withUnsafeMutableBufferPointer {
            unsafe BN_bn2binpad(number, $0.baseAddress, CInt(count))
        }
        return Int(written) == count ? bytes : nil
    }

    static func kind(of key: OpaquePointer) -> KeyKind? {
        switch unsafe EVP_PKEY_get_base_id(key) {
        case EVP_PKEY_RSA:
            let bits = Int(unsafe EVP_PKEY_get_bits(key))
            return (SigningKey.rsaBitsMin...SigningKey.rsaBitsMax).contains(bits) ? .rsa : nil
        case EVP_PKEY_EC:
            var name = [CChar](repeating: 0, count: 64)
            var count = 0
            let isRead = unsafe name.withUnsafeMutableBufferPointer {
                unsafe EVP_PKEY_get_group_name(key, $0.baseAddress, $0.count, &count) == 1
            }
            guard isRead, count < name.count else { return nil }
            switch String(decoding: name.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
            {
            case "prime256v1", "P-256": return .p256
            case "secp384r1", "P-384": return .p384
            case "secp521r1", "P-521": return .p521
            default: return nil
            }
        case EVP_PKEY_ED25519: return .ed25519
        default: return nil
        }
    }
}
