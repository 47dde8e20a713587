/// When a turn looks for more to read before it writes.
///
/// Under load more becomes ready while a turn works. Taken into the same flush, the requests of
/// many clients leave in one write instead of several, and each write costs more than a call's
/// share of everything else. Where little goes on a look finds nothing: after such a look, twice
/// as many turns pass without one, up to `restMax`; a look that finds something ends that.
///
///     rest = 0 -- found nothing --> rest = 1, 2, 4 ... restMax
///       ^                             |
///       +------- found something -----+
struct Gathering {
    /// Looks per turn. What is written waits for at most so many.
    static let looksMax = 8
    /// Bytes read in a turn after which it writes: those that leave should still be in the cache.
    static let bytesMax = 64 << 10
    static let restMax = 32

    private var looksLeft = 0
    private var bytesLeft = 0
    private var rest = 0
    private var restLeft = 0

    /// A turn begins.
    mutating func turnBegan() {
        bytesLeft = Self.bytesMax
        if restLeft > 0 {
            restLeft -= 1
            looksLeft = 0
        } else {
            looksLeft = Self.looksMax
        }
    }

    mutating func received(_ byteCount: Int) { bytesLeft &-= byteCount }

    /// True where the turn should look once more.
    var wantsLook: Bool { looksLeft > 0 && bytesLeft > 0 }

    /// What a look found.
    mutating func looked(found count: Int) {
        looksLeft -= 1
        if count > 0 {
            rest = 0
        } else if looksLeft == Self.looksMax - 1 {
            // The first look of the turn: there was nothing to gather.
            rest = min(max(rest * 2, 1), Self.restMax)
            restLeft = rest
        }
        if count == 0 { looksLeft = 0 }
    }
}
