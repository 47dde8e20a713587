internal import COpenSSL

/// Owns a private key.
@safe final class CertificateKey {
    let pointer: OpaquePointer

    /// - pem: PKCS #8 or the older forms of OpenSSL, not encrypted, one key.
    init(pem: [UInt8]) throws(CertificateError) {
        let blocks = try PEM.blocks(in: pem).filter { $0.label.hasSuffix("PRIVATE KEY") }
        guard let block = blocks.first else {
            throw .unreadable("it holds no private key (BEGIN PRIVATE KEY)")
        }
        guard blocks.count == 1 else {
            throw .unreadable("it holds \(blocks.count) private keys, of 1 allowed")
        }
        guard Self.labels.contains(block.label) else {
            throw .unreadable("it holds \(block.label): the key must not be encrypted")
        }
        let parsed = unsafe block.bytes.withUnsafeBufferPointer { bytes in
            var position = bytes.baseAddress
            return unsafe d2i_AutoPrivateKey(nil, &position, bytes.count)
        }
        ERR_clear_error()
        guard let pointer = unsafe parsed else {
            throw .unreadable("its private key cannot be read")
        }
        unsafe self.pointer = unsafe pointer
    }

    /// - key: which is freed with this.
    init(owning key: OpaquePointer) { unsafe pointer = unsafe key }

    deinit { unsafe EVP_PKEY_free(pointer) }

    private static let labels: Set = ["PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY"]
}
