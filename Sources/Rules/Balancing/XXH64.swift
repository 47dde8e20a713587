internal import Wire

/// The 64-bit hash of xxHash, which other proxies and gRPC use to spread requests: the same bytes
/// have the same hash everywhere, and bytes that differ little have hashes that differ widely. It
/// resists nobody who looks for collisions.
public enum XXH64 {
    private static let first: UInt64 = 0x9e37_79b1_85eb_ca87
    private static let second: UInt64 = 0xc2b2_ae3d_27d4_eb4f
    private static let third: UInt64 = 0x1656_67b1_9e37_79f9
    private static let fourth: UInt64 = 0x85eb_ca77_c2b2_ae63
    private static let fifth: UInt64 = 0x27d4_eb2f_1656_67c5

    public static func hash(_ bytes: Span<UInt8>, seed: UInt64 = 0) -> UInt64 {
        var index = 0
        var hash = seed &+ fifth
        if bytes.count >= 32 { hash = stripes(bytes, seed, &index) }
        hash &+= UInt64(truncatingIfNeeded: bytes.count)
        while index &+ 8 <= bytes.count {
            hash ^= round(0, bytes.word(at: index).byteSwapped)
            hash = rotate(hash, 27) &* first &+ fourth
            index &+= 8
        }
        if index &+ 4 <= bytes.count {
            hash ^= half(bytes, index) &* first
            hash = rotate(hash, 23) &* second &+ third
            index &+= 4
        }
        while index < bytes.count {
            hash ^= UInt64(bytes[index]) &* fifth
            hash = rotate(hash, 11) &* first
            index &+= 1
        }
        return avalanche(hash)
    }

    /// Of eight bytes, the lowest of the number first.
    public static func hash(_ number: UInt64, seed: UInt64 = 0) -> UInt64 {
        var hash = seed &+ fifth &+ 8
        hash ^= round(0, number)
        return avalanche(rotate(hash, 27) &* first &+ fourth)
    }

    /// Four sums, each of every fourth word, over all whole 32 bytes.
    private static func stripes(
        _ bytes: Span<UInt8>, _ seed: UInt64, _ index: inout Int
    ) -> UInt64 {
        var one = seed &+ first &+ second
        var two = seed &+ second
        var three = seed
        var four = seed &- first
        while index &+ 32 <= bytes.count {
            one = round(one, bytes.word(at: index).byteSwapped)
            two = round(two, bytes.word(at: index &+ 8).byteSwapped)
            three = round(three, bytes.word(at: index &+ 16).byteSwapped)
            four = round(four, bytes.word(at: index &+ 24).byteSwapped)
            index &+= 32
        }
        var hash = rotate(one, 1) &+ rotate(two, 7) &+ rotate(three, 12) &+ rotate(four, 18)
        hash = (hash ^ round(0, one)) &* first &+ fourth
        hash = (hash ^ round(0, two)) &* first &+ fourth
        hash = (hash ^ round(0, three)) &* first &+ fourth
        return (hash ^ round(0, four)) &* first &+ fourth
    }

    private static func half(_ bytes: Span<UInt8>, _ index: Int) -> UInt64 {
        var word: UInt64 = 0
        for offset in (0..<4).reversed() { word = word << 8 | UInt64(bytes[index &+ offset]) }
        return word
    }

    @inline(__always)
    private static func round(_ sum: UInt64, _ word: UInt64) -> UInt64 {
        rotate(sum &+ word &* second, 31) &* first
    }

    @inline(__always)
    private static func rotate(_ value: UInt64, _ bits: UInt64) -> UInt64 {
        value &<< bits | value &>> (64 &- bits)
    }

    private static func avalanche(_ hash: UInt64) -> UInt64 {
        var hash = (hash ^ hash &>> 33) &* second
        hash = (hash ^ hash &>> 29) &* third
        return hash ^ hash &>> 32
    }
}
