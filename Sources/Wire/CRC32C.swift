/// The checksum with Castagnoli's polynomial (RFC 9260, appendix A), of which the PROXY protocol
/// and little else makes use: bit by bit, as it is made once for a connection at most.
struct CRC32C {
    /// The polynomial 0x1edc6f41, its bits mirrored.
    private static let polynomial: UInt32 = 0x82f6_3b78

    private var register = UInt32.max

    mutating func add(_ byte: UInt8) {
        register ^= UInt32(byte)
        for _ in 0..<8 {
            register = register >> 1 ^ (register & 1 == 1 ? Self.polynomial : 0)
        }
    }

    var value: UInt32 { ~register }
}
