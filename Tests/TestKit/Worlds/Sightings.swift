/// What the world saw of the proxy at its other side, whatever the proxy says of itself.
final class Sightings {
    /// One of the proxy's connections to an origin, at the proxy's end.
    final class Connection {
        let place: Place
        let worker: Int
        let openedAt: Int64
        var closedAt = Int64.max
        /// What checks and watches went over it.
        var isForChecks = false
        /// The proxy had to wait with what it wanted to send.
        var wasBlocked = false
        /// How many bytes had been sent, and read, at which times.
        private var sends: [Mark] = []
        private var reads: [Mark] = []

        private struct Mark {
            let end: Int
            let at: Int64
        }

        init(_ place: Place, worker: Int, at time: Int64) {
            self.place = place
            self.worker = worker
            openedAt = time
        }

        func sent(_ count: Int, of wanted: Int, at time: Int64) {
            if count < wanted { wasBlocked = true }
            Self.add(count, to: &sends, at: time)
        }

        func read(_ count: Int, at time: Int64) { Self.add(count, to: &reads, at: time) }

        private static func add(_ count: Int, to marks: inout [Mark], at time: Int64) {
            guard count > 0 else { return }
            marks.append(Mark(end: (marks.last?.end ?? 0) + count, at: time))
        }

        /// When the byte at that position was sent.
        func time(ofByte position: Int) -> Int64 {
            Self.time(ofByte: position, in: sends) ?? sends.last?.at ?? openedAt
        }

        /// When the proxy read the byte at that position; nil where it never did.
        func time(ofReadByte position: Int) -> Int64? { Self.time(ofByte: position, in: reads) }

        private static func time(ofByte position: Int, in marks: [Mark]) -> Int64? {
            var (low, high) = (0, marks.count)
            while low < high {
                let middle = (low + high) / 2
                if marks[middle].end <= position { low = middle + 1 } else { high = middle }
            }
            return low < marks.count ? marks[low].at : nil
        }
    }

    struct Check {
        enum Answer { case well, failed, notServing, none }

        let place: Place
        let isWatch: Bool
        /// It was sent between these.
        let sentAt: Int64
        let sentBy: Int64
        /// What came of it, and when; set once it was answered.
        var answer = Answer.none
        var answeredAt = Int64.max
        /// The server said that it would not take it, or left.
        var wasLost = false
        var isUnprocessed = false
        let connection: Int
    }

    /// By their numbers.
    private(set) var connections: [Int: Connection] = [:]
    var checks: [Check] = []

    func opened(_ number: Int, _ place: Place, worker: Int, at time: Int64) {
        connections[number] = Connection(place, worker: worker, at: time)
    }

    func closed(_ number: Int, at time: Int64) { connections[number]?.closedAt = time }

    func forget() { connections = [:] }
}
