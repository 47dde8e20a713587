/// How long a socket is kept once FIN was sent. Performs no I/O.
///
/// A socket that is closed too early answers what the peer still sends with RST, and RST destroys
/// what the peer has not read: the tail of an answer that was sent whole. So the socket stays while
/// the kernel still holds bytes that the peer's has not acknowledged, as it does for one that reads
/// slowly, and for a second after the last of them, or of what the peer sends. A peer that takes
/// nothing for `patience` is given up, and so is one that takes longer than `totalNanoseconds`.
struct Lingering {
    /// What a peer that has received everything is given to end its side.
    static let quietNanoseconds: Int64 = 1_000_000_000
    static let totalNanoseconds: Int64 = 60_000_000_000

    private let beganAt: Int64
    private let patience: Int64
    private var unacknowledged = 0
    private var progressAt: Int64

    /// - patience: how long the peer may take nothing of what waits for it, in nanoseconds.
    init(now: Int64, patience: Int64) {
        beganAt = now
        progressAt = now
        self.patience = max(patience, Self.quietNanoseconds)
    }

    /// One that is not waited for: it broke the rules, or its time is over.
    var isShort: Bool { patience == Self.quietNanoseconds }

    /// The peer still speaks.
    mutating func received(now: Int64) { if !isShort { progressAt = now } }

    /// When to look again at how many bytes are left; nil is now the time to close.
    ///
    /// - limitAt: when the process wants to be gone; `Int64.max` is never.
    mutating func looked(now: Int64, unacknowledged left: Int, limitAt: Int64) -> Int64? {
        if left < unacknowledged, !isShort { progressAt = now }
        unacknowledged = left
        let limit = left > 0 ? patience : Self.quietNanoseconds
        let last = min(beganAt + Self.totalNanoseconds, limitAt)
        let closeAt = max(min(progressAt &+ limit, last), beganAt + Self.quietNanoseconds)
        if now >= closeAt { return nil }
        return left > 0 ? min(now + Self.quietNanoseconds, closeAt) : closeAt
    }
}
