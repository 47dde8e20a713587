internal import Wire

/// How many wrong signatures may still come from each source: checking one takes as long as a few
/// requests. A bucket for each source, which refills; sources share a bucket rather than take more
/// room than the table has. What was verified before needs no signature checked, so that callers
/// with known tokens do not notice.
struct SignatureFaults {
    static let burst: Int64 = 50
    /// One more every so many nanoseconds.
    static let refill: Int64 = 100_000_000
    static let buckets = 1_024

    /// When each bucket will be full again.
    private var fullAt = [Int64](repeating: .min / 2, count: SignatureFaults.buckets)
    private let key: UInt64

    /// - key: random, so that nobody can choose whose bucket to share.
    init(key: UInt64) { self.key = key }

    /// Whether another signature from there is looked at. Unix sockets have no bucket: whoever may
    /// connect to them is no stranger.
    func allows(_ source: SocketAddress, at now: Int64) -> Bool {
        guard let place = place(source) else { return true }
        return fullAt[place] - now <= (Self.burst - 1) * Self.refill
    }

    mutating func count(_ source: SocketAddress, at now: Int64) {
        guard let place = place(source) else { return }
        fullAt[place] = max(fullAt[place], now) + Self.refill
    }

    /// By address without port; of IPv6 by the first 64 bits, which one host has to itself.
    private func place(_ source: SocketAddress) -> Int? {
        let word: UInt64
        switch source {
        case .ipv4(let address, _): word = UInt64(address)
        case .ipv6(let high, let low, _): word = high == 0 ? low : high
        case .unix: return nil
        }
        let bytes: [8 of UInt8] = .init { UInt8(truncatingIfNeeded: word >> UInt64(8 * $0)) }
        return Int(TokenHash.of(bytes.span, key) % UInt64(Self.buckets))
    }
}
