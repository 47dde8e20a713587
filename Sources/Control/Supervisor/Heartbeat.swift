/// Whether all workers turn: each of them has, between two looks.
///
/// Whoever looks wakes them first (`Mailbox.nudge`), as one without work does not turn by itself.
struct Heartbeat {
    private var seen: [UInt64?] = []

    /// Takes how often each worker has turned, nil for one that has ended, and gives those that
    /// have not turned since the last look; nil at the first.
    mutating func stalled(_ turns: [UInt64?]) -> [Int]? {
        defer { seen = turns }
        guard seen.count == turns.count else { return nil }
        return turns.indices.filter { turns[$0] != nil && turns[$0] == seen[$0] }
    }
}
