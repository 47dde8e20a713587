internal import COpenSSL

extension CertificateKey {
    /// A new key from OpenSSL's random source. RSA and other curves are for tests.
    enum Kind: Hashable, Sendable {
        case ec(curve: String)
        case ed25519
        case rsa(bits: UInt32)
    }

    static func generate(_ kind: Kind) throws(CertificateError) -> CertificateKey {
        defer { ERR_clear_error() }
        let made =
            switch kind {
            case .ec(let curve): unsafe weir_new_ec_key(curve)
            case .ed25519: unsafe weir_new_ed25519_key()
            case .rsa(let bits): unsafe weir_new_rsa_key(bits)
            }
        guard let made = unsafe made else { throw .unfit("no key of that kind can be made") }
        return unsafe CertificateKey(owning: made)
    }

    /// PKCS #8, not encrypted.
    func pem() throws(CertificateError) -> [UInt8] {
        defer { ERR_clear_error() }
        guard let plain = unsafe EVP_PKEY2PKCS8(pointer) else {
            throw .unfit("the private key cannot be written")
        }
        defer { unsafe PKCS8_PRIV_KEY_INFO_free(plain) }
        let bytes = unsafe DER.bytes { unsafe i2d_PKCS8_PRIV_KEY_INFO(plain, $0) }
        return PEM.text([PEM.Block(label: "PRIVATE KEY", bytes: bytes)])
    }

    /// SubjectPublicKeyInfo (RFC 5280, 4.1.2.7).
    func publicKey() -> [UInt8] {
        unsafe DER.bytes { unsafe i2d_PUBKEY(pointer, $0) }
    }

    /// Ed25519 takes none.
    func digest(_ name: String) -> OpaquePointer? {
        unsafe EVP_PKEY_get_base_id(pointer) == EVP_PKEY_ED25519
            ? nil : EVP_get_digestbyname(name)
    }
}

/// What OpenSSL's `i2d_` functions write.
enum DER {
    typealias Output = UnsafeMutablePointer<UnsafeMutablePointer<UInt8>?>

    /// Empty where OpenSSL has none.
    static func bytes(_ write: (Output?) -> CInt) -> [UInt8] {
        let count = write(nil)
        guard count > 0 else { return [] }
        var bytes = [UInt8](repeating: 0, count: Int(count))
        unsafe bytes.withUnsafeMutableBufferPointer { buffer in
            var position = buffer.baseAddress
            _ = unsafe write(&position)
        }
        return bytes
    }
}
