internal import COpenSSL

/// SHA-256.
enum CertificateDigest {
    static func sha256(_ bytes: [UInt8]) -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: 32)
        let result = unsafe EVP_Digest(bytes, bytes.count, &digest, nil, EVP_sha256(), nil)
        precondition(result == 1, "SHA-256 is always there")
        return digest
    }

    /// Of several values, each with its length, so that no two lists look the same.
    static func sha256(_ values: [[UInt8]]) -> [UInt8] {
        var all: [UInt8] = []
        for value in values {
            for shift in stride(from: 56, through: 0, by: -8) {
                all.append(UInt8(truncatingIfNeeded: value.count >> shift))
            }
            all += value
        }
        return sha256(all)
    }
}
