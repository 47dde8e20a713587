internal import Wire

/// Addresses and ranges read back as they are written; a host is within its authority.
enum AddressProperty {
    static func fault(_ bytes: [UInt8]) -> String? {
        let text = String(decoding: bytes, as: UTF8.self)
        if let address = try? SocketAddress(parsing: text) {
            guard (try? SocketAddress(parsing: address.description)) == address else {
                return "the address \(address) does not read back"
            }
        }
        if let range = try? AddressRange(parsing: bytes.span) {
            guard (try? AddressRange(parsing: range.description.utf8.span)) == range else {
                return "the range \(range) does not read back"
            }
        }
        if let address = IPAddress(parsing: bytes.span) {
            guard IPAddress(parsing: "\(address)".utf8.span) == address else {
                return "the address \(address) does not read back"
            }
        }
        return authorityFault(bytes)
    }

    private static func authorityFault(_ bytes: [UInt8]) -> String? {
        guard let host = Authority.check(bytes.span) else { return nil }
        guard !host.isEmpty, bytes.indices.contains(host.upperBound - 1) else {
            return "an authority has no host"
        }
        let isClean = bytes.allSatisfy { byte in
            (0x21...0x7e).contains(byte) && !"@/?#%\\\"<>".utf8.contains(byte)
        }
        guard isClean, Authority.isSame(bytes.span, bytes.span) else {
            return "an authority confuses"
        }
        let again = Array(bytes[host])
        return Authority.check(again.span) == 0..<again.count ? nil : "a host is no authority"
    }
}
