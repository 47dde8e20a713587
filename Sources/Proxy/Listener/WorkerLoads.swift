internal import Synchronization

/// How many connections each worker has: an accepted one goes to the worker with the fewest, as
/// gRPC's few and long-lived connections spread badly by hash.
public final class WorkerLoads: Sendable {
    private final class Load: Sendable {
        let connections = Atomic<Int>(0)
        let mailbox = Mutex<Mailbox?>(nil)
    }

    private let loads: [Load]

    public init(workers: Int) { loads = (0..<max(workers, 1)).map { _ in Load() } }

    /// How many workers there are.
    var count: Int { loads.count }

    public func join(_ mailbox: Mailbox, at index: Int) {
        loads[index].mailbox.withLock { $0 = mailbox }
    }

    /// The worker with the fewest, itself where it is one of them; counts the connection there.
    func leastLoaded(preferring index: Int) -> Int {
        var best = index
        var fewest = loads[index].connections.load(ordering: .relaxed)
        for other in loads.indices {
            let count = loads[other].connections.load(ordering: .relaxed)
            if count < fewest {
                best = other
                fewest = count
            }
        }
        loads[best].connections.add(1, ordering: .relaxed)
        return best
    }

    /// Counts a connection at a worker.
    func take(_ index: Int) -> Int {
        loads[index].connections.add(1, ordering: .relaxed)
        return index
    }

    /// False where that worker has ended.
    func post(_ message: Mailbox.Message, to index: Int) -> Bool {
        loads[index].mailbox.withLock { $0 }?.post(message) ?? false
    }

    func ended(_ index: Int) { loads[index].connections.subtract(1, ordering: .relaxed) }
}
