/// Hashes bytes as they come and can tell, after any of them, the hash of all so far. Keys come
/// from the configuration alone and every hit is compared byte by byte, so it need not resist
/// anyone.
struct RouteHash {
    private var state: UInt64 = 0x9e37_79b9_7f4a_7c15
    /// Up to seven bytes that the state does not have yet.
    private var word: UInt64 = 0
    private var count = 0

    init() {}

    init(_ bytes: Span<UInt8>) {
        for index in bytes.indices { append(bytes[index]) }
    }

    /// Appends eight bytes, where their number so far is a multiple of eight.
    @inline(__always)
    mutating func append(whole eight: UInt64) {
        count &+= 8
        state = Self.mix(state ^ eight)
    }

    /// The hash once the first `byteCount` bytes of `next` (at most eight, the first as the
    /// highest) are appended, where the number so far is a multiple of eight.
    @inline(__always)
    func value(appending byteCount: Int, of next: UInt64) -> UInt64 {
        let bits = UInt64(truncatingIfNeeded: byteCount &* 8)
        let total = UInt64(truncatingIfNeeded: count &+ byteCount) << 56
        switch byteCount {
        case 0: return Self.mix(state ^ total)
        case 8: return Self.mix(Self.mix(state ^ next) ^ total)
        default: return Self.mix(state ^ next &>> (64 &- bits) ^ total)
        }
    }

    @inline(__always)
    mutating func append(_ byte: UInt8) {
        word = word << 8 | UInt64(byte)
        count &+= 1
        if count & 7 == 0 {
            state = Self.mix(state ^ word)
            word = 0
        }
    }

    /// The hash of the bytes so far.
    @inline(__always)
    var value: UInt64 { Self.mix(state ^ word ^ UInt64(truncatingIfNeeded: count) << 56) }

    /// The hash of these bytes under a key of their own, such as a host.
    @inline(__always)
    static func key(_ hash: UInt64, _ owner: UInt32) -> UInt64 {
        mix(hash ^ mix(UInt64(owner) + 1))
    }

    @inline(__always)
    private static func mix(_ value: UInt64) -> UInt64 {
        let product = value.multipliedFullWidth(by: 0xd6e8_feb8_6659_fd93)
        return product.high ^ product.low
    }
}

/// An open-addressed hash table of positions, at most half full: a slot has the upper half of a
/// hash and a position plus one; 0 is empty.
struct SlotTable: Sendable {
    private(set) var slots: [UInt64] = [0]

    init() {}

    /// With room for `count` positions.
    init(count: Int) {
        var size = 2
        while size < count &* 2 { size &*= 2 }
        slots = [UInt64](repeating: 0, count: size)
    }

    @inline(__always)
    func start(_ hash: UInt64) -> Int { Int(truncatingIfNeeded: hash) & (slots.count &- 1) }

    @inline(__always)
    func next(_ slot: Int) -> Int { (slot &+ 1) & (slots.count &- 1) }

    /// The position in a slot whose content may be what has this hash.
    @inline(__always)
    static func position(_ content: UInt64, _ hash: UInt64) -> Int? {
        guard content >> 32 == hash >> 32 else { return nil }
        return Int(truncatingIfNeeded: content & 0xffff_ffff) &- 1
    }

    /// Takes the first free slot. The caller keeps to `count` positions and puts nothing in twice.
    mutating func insert(_ position: Int, _ hash: UInt64) {
        var slot = start(hash)
        while slots[slot] != 0 { slot = next(slot) }
        slots[slot] = hash & ~0xffff_ffff | UInt64(position + 1)
    }
}
