internal import Proxy
internal import Synchronization

/// A worker on a thread of its own, and what the control thread may touch of it.
final class WorkerThread: Sendable {
    let mailbox: Mailbox
    private let outcome: Outcome

    private final class Outcome: Sendable {
        let counters = Mutex<[(name: String, count: UInt64)]?>(nil)
        let mailbox = Mutex<Mailbox?>(nil)
    }

    /// Nil where the system has no thread or descriptor left. `bell` rings when the worker has
    /// ended.
    init?(
        _ index: Int, _ loads: WorkerLoads, _ log: EventLog, _ bell: Bell, records: RecordRing
    ) {
        let outcome = Outcome()
        let ready = Bell()
        let started = Thread.start {
            guard let system = LinuxSystem() else {
                ready?.waker.ring()
                return
            }
            // Made here: a worker never leaves its thread.
            let worker = Worker(
                system: system, log: log, loads: loads, index: index, records: records)
            outcome.mailbox.withLock { $0 = worker.mailbox }
            loads.join(worker.mailbox, at: index)
            ready?.waker.ring()
            worker.run()
            outcome.counters.withLock { $0 = worker.census.counters }
            bell.waker.ring()
        }
        guard started, let ready else { return nil }
        Waiting.wait(for: [ready.descriptor], milliseconds: -1)
        guard let mailbox = outcome.mailbox.withLock({ $0 }) else { return nil }
        self.mailbox = mailbox
        self.outcome = outcome
    }

    var isOver: Bool { outcome.counters.withLock { $0 != nil } }

    /// What it counted; empty while it runs.
    var finalCounters: [(name: String, count: UInt64)] {
        outcome.counters.withLock { $0 ?? [] }
    }
}
