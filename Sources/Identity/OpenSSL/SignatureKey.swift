internal import COpenSSL

/// A key that signatures are checked with: a public one of OpenSSL's, or a secret.
@safe final class SignatureKey: Sendable {
    // Proof: nothing writes to a key after it was made; OpenSSL counts its references and locks its
    // caches itself, and it is freed in deinit, when nobody else can hold it.
    nonisolated(unsafe) private let key: OpaquePointer?
    private let secret: [UInt8]

    init(secret: [UInt8]) {
        unsafe key = nil
        self.secret = secret
    }

    /// Nil for what OpenSSL holds to be no valid key, points that are not on their curve among it.
    ///
    /// - der: a SubjectPublicKeyInfo.
    init?(der: [UInt8]) {
        secret = []
        ERR_clear_error()
        let decoded = unsafe der.withUnsafeBufferPointer { bytes -> OpaquePointer? in
            var start = bytes.baseAddress
            return unsafe d2i_PUBKEY(nil, &start, bytes.count)
        }
        guard let decoded = unsafe decoded else {
            unsafe key = nil
            return nil
        }
        unsafe key = unsafe decoded
        guard let context = unsafe EVP_PKEY_CTX_new(decoded, nil) else { return nil }
        defer { unsafe EVP_PKEY_CTX_free(context) }
        if unsafe EVP_PKEY_get_base_id(decoded) != EVP_PKEY_ED25519 {
            guard unsafe Self.isValid(context) else { return nil }
        }
    }

    /// OpenSSL looks for factors of an RSA modulus by chance: it finds one of four digits now and
    /// then, and a key would come and go. What it finds each time is wrong.
    private static func isValid(_ context: OpaquePointer) -> Bool {
        (0..<checks).contains { _ in unsafe EVP_PKEY_public_check(context) == 1 }
    }

    private static let checks = 5

    deinit { unsafe EVP_PKEY_free(key) }

    /// Whether `signature`, as a token has it, is this key's over `message`.
    func verifies(
        _ signature: [UInt8], over message: [UInt8], _ algorithm: TokenAlgorithm, _ kind: KeyKind
    ) -> Bool {
        guard kind.fits(algorithm) else { return false }
        switch algorithm.family {
        case .hmac: return matches(signature, message, algorithm)
        case .rsaPKCS1, .rsaPSS:
            // RFC 8017, 8.1.2 and 8.2.2: as long as the modulus, no more and no less.
            guard let key = unsafe key, unsafe signature.count == Int(EVP_PKEY_get_size(key)) else {
                return false
            }
            return check(signature, message, algorithm)
        case .ecdsa:
            guard let der = KeyDER.signature(fromHalves: signature, of: kind) else { return false }
            return check(der, message, algorithm)
        case .edDSA:
            return signature.count == 64 && check(signature, message, algorithm)
        }
    }

    private func check(
        _ signature: [UInt8], _ message: [UInt8], _ algorithm: TokenAlgorithm
    ) -> Bool {
        ERR_clear_error()
        guard let key = unsafe key, let context = unsafe EVP_MD_CTX_new() else { return false }
        defer { unsafe EVP_MD_CTX_free(context) }
        var keyContext: OpaquePointer?
        let digest = unsafe Self.digest(algorithm)
        guard unsafe EVP_DigestVerifyInit(context, &keyContext, digest, nil, key) == 1,
            unsafe Self.pad(keyContext, algorithm)
        else { return false }
        let result = unsafe signature.withUnsafeBufferPointer { signature in
            unsafe message.withUnsafeBufferPointer { message in
                unsafe EVP_DigestVerify(
                    context, signature.baseAddress, signature.count, message.baseAddress,
                    message.count)
            }
        }
        ERR_clear_error()
        return result == 1
    }

    /// In a time that says nothing about where the two differ.
    private func matches(
        _ signature: [UInt8], _ message: [UInt8], _ algorithm: TokenAlgorithm
    ) -> Bool {
        guard let own = Self.code(secret, message, algorithm), own.count == signature.count else {
            return false
        }
        return unsafe own.withUnsafeBytes { own in
            unsafe signature.withUnsafeBytes { signature in
                unsafe CRYPTO_memcmp(own.baseAddress, signature.baseAddress, own.count) == 0
            }
        }
    }

    /// The message's HMAC.
    static func code(
        _ secret: [UInt8], _ message: [UInt8], _ algorithm: TokenAlgorithm
    ) -> [UInt8]? {
        guard algorithm.isSymmetric, !secret.isEmpty else { return nil }
        var code = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
        var count: UInt32 = 0
        let isMade = unsafe secret.withUnsafeBufferPointer { secret in
            unsafe message.withUnsafeBufferPointer { message in
                unsafe code.withUnsafeMutableBufferPointer { code in
                    unsafe HMAC(
                        digest(algorithm), secret.baseAddress, CInt(secret.count),
                        message.baseAddress, message.count, code.baseAddress, &count) != nil
                }
            }
        }
        return isMade ? Array(code.prefix(Int(count))) : nil
    }

    static func digest(_ algorithm: TokenAlgorithm) -> OpaquePointer? {
        switch algorithm.digestBits {
        case 256: unsafe EVP_sha256()
        case 384: unsafe EVP_sha384()
        case 512: unsafe EVP_sha512()
        default: nil
        }
    }

    /// RFC 7518, 3.5: PSS with a salt as long as the digest, and MGF1 with the same digest.
    static func pad(_ context: OpaquePointer?, _ algorithm: TokenAlgorithm) -> Bool {
        switch algorithm.family {
        case .rsaPSS:
            unsafe EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) == 1
                && EVP_PKEY_CTX_set_rsa_pss_saltlen(context, RSA_PSS_SALTLEN_DIGEST) == 1
                && EVP_PKEY_CTX_set_rsa_mgf1_md(context, digest(algorithm)) == 1
        case .rsaPKCS1: unsafe EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING) == 1
        case .ecdsa, .edDSA, .hmac: true
        }
    }
}

/// SHA-256.
public enum SHA256Digest {
    public static func of(_ bytes: [UInt8]) -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: 32)
        unsafe bytes.withUnsafeBufferPointer { bytes in
            unsafe digest.withUnsafeMutableBufferPointer { digest in
                _ = unsafe SHA256(bytes.baseAddress, bytes.count, digest.baseAddress)
            }
        }
        return digest
    }
}
