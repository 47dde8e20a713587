internal import Proxy
internal import Synchronization

/// A worker on a thread of its own, and what the control thread may touch of it.
final class WorkerThread: Sendable {
    let mailbox: Mailbox
    /// What it counts, readable at any time.
    let counters: Counters
    private let outcome: Outcome

    private final class Outcome: Sendable {
        let isOver = Atomic(false)
        let reached = Mutex<(mailbox: Mailbox, counters: Counters)?>(nil)
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
            let reached = (worker.mailbox, worker.counters)
            outcome.reached.withLock { $0 = reached }
            loads.join(worker.mailbox, at: index)
            ready?.waker.ring()
            worker.run()
            outcome.isOver.store(true, ordering: .releasing)
            bell.waker.ring()
        }
        guard started, let ready else { return nil }
        Waiting.wait(for: [ready.descriptor], milliseconds: -1)
        guard let reached = outcome.reached.withLock({ $0 }) else { return nil }
        mailbox = reached.mailbox
        counters = reached.counters
        self.outcome = outcome
    }

    var isOver: Bool { outcome.isOver.load(ordering: .acquiring) }
}
