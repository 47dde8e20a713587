internal import Synchronization

/// Copies of requests that an upstream was to get, in all workers: what became of them, and how
/// many there are. Survives reloads by the upstream's name.
public final class MirrorCounts: Sendable {
    public enum Outcome: Int, CaseIterable, Sendable {
        /// A whole answer came, whatever it said.
        case answered
        /// None did: nobody could be reached, or it was reset, late, or too large.
        case failed
        /// No copy was made, as the request was not kept until it was whole.
        case notKept
        /// No copy was made, as there were too many, or too much to do.
        case noRoom

        public var name: StaticString {
            switch self {
            case .answered: "answered"
            case .failed: "failed"
            case .notKept: "not_kept"
            case .noRoom: "no_room"
            }
        }
    }

    private let answered = Atomic<Int>(0)
    private let failed = Atomic<Int>(0)
    private let notKept = Atomic<Int>(0)
    private let noRoom = Atomic<Int>(0)
    private let active = Atomic<Int>(0)
    private let bytes = Atomic<Int>(0)

    public init() {}

    public func count(_ outcome: Outcome) -> Int {
        switch outcome {
        case .answered: answered.load(ordering: .relaxed)
        case .failed: failed.load(ordering: .relaxed)
        case .notKept: notKept.load(ordering: .relaxed)
        case .noRoom: noRoom.load(ordering: .relaxed)
        }
    }

    /// Those that have not ended.
    public var activeCount: Int { active.load(ordering: .relaxed) }

    func add(_ outcome: Outcome) {
        switch outcome {
        case .answered: answered.add(1, ordering: .relaxed)
        case .failed: failed.add(1, ordering: .relaxed)
        case .notKept: notKept.add(1, ordering: .relaxed)
        case .noRoom: noRoom.add(1, ordering: .relaxed)
        }
    }

    /// Room for another copy; nil where there is none.
    func place(bytes count: Int, copiesMax: Int, bytesMax: Int) -> MirrorPlace? {
        let place = MirrorPlace(self, bytes: count)
        let copies = active.add(1, ordering: .relaxed).newValue
        let sum = bytes.add(count, ordering: .relaxed).newValue
        return copies > copiesMax || sum > bytesMax ? nil : place
    }

    fileprivate func leave(bytes count: Int) {
        active.subtract(1, ordering: .relaxed)
        bytes.subtract(count, ordering: .relaxed)
    }
}

/// One copy among all that an upstream has. It is let go with the exchange, which is when the
/// server's stream is closed: a server that takes nothing holds no more of them.
final class MirrorPlace {
    private let counts: MirrorCounts
    private let bytes: Int

    fileprivate init(_ counts: MirrorCounts, bytes: Int) {
        self.counts = counts
        self.bytes = bytes
    }

    deinit { counts.leave(bytes: bytes) }

    func ended(isAnswered: Bool) { counts.add(isAnswered ? .answered : .failed) }
}
