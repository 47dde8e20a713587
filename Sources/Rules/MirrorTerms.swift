/// Where copies of a route's requests go, and how many of them.
public struct MirrorTerms: Sendable, Equatable {
    /// No copy lasts longer, in nanoseconds.
    public static let timeMax: Int64 = 30_000_000_000
    /// Of an answer that nobody sees: more of it is not waited for.
    public static let answerBytesMax: Int64 = 16 << 20
    /// Bodies of all copies together that one upstream has not ended.
    public static let bodyBytesMax = 16 << 20

    public static let whole: UInt64 = 1 << 32

    /// Position in the snapshot's list of upstreams.
    public let upstream: Int
    /// So many of 2^32 requests.
    public let share: UInt64

    public init(upstream: Int, share: UInt64) {
        self.upstream = upstream
        self.share = share
    }

    /// Whether the request that `draw`, any random number, is for gets a copy.
    public func isChosen(draw: UInt64) -> Bool { draw & (Self.whole - 1) < share }

    /// When a copy that begins now has to be over: what is left of the request's own time, within
    /// bounds. - deadline: 0 is none.
    public static func end(of deadline: Int64, now: Int64) -> Int64 {
        let latest = now &+ timeMax
        return deadline > 0 ? min(deadline, latest) : latest
    }
}
