internal import Synchronization

/// What workers have to say to people, on its way to the control thread, which writes it.
///
/// Bounded: what does not fit is dropped and counted, so that a flood costs no memory and no worker
/// waits for a disk.
public final class EventLog: Sendable {
    public enum Level: Sendable { case debug, info, notice, warning, error }

    public struct Entry: Sendable {
        public let level: Level
        public let message: String
    }

    private struct State {
        var entries: [Entry] = []
        var dropped: UInt64 = 0
    }

    private static let entriesMax = 4_096
    private let state = Mutex(State())
    private let waker: Waker

    /// `waker` is rung when an entry comes to an empty log.
    public init(waker: Waker = .silent) { self.waker = waker }

    public func write(_ level: Level, _ message: @autoclosure () -> String) {
        let entry = Entry(level: level, message: message())
        let isFirst = state.withLock { state in
            guard state.entries.count < Self.entriesMax else {
                state.dropped += 1
                return false
            }
            state.entries.append(entry)
            return state.entries.count == 1
        }
        if isFirst { waker.ring() }
    }

    /// All entries since the last call, and how many were dropped meanwhile.
    public func take() -> (entries: [Entry], dropped: UInt64) {
        state.withLock { state in
            defer { state = State() }
            return (state.entries, state.dropped)
        }
    }
}
