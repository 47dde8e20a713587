internal import Proxy
internal import Synchronization

/// A configuration on its way to the workers.
final class PendingInstallation: Sendable {
    private let missing: Atomic<Int>
    private let waker: Waker

    /// Rings `waker` when all workers have it.
    init(workers: Int, waker: Waker) {
        missing = Atomic(workers)
        self.waker = waker
    }

    /// One more has it.
    func arrived() {
        let left = missing.subtract(1, ordering: .acquiringAndReleasing).newValue
        if left == 0 { waker.ring() }
    }

    var isOver: Bool { missing.load(ordering: .acquiring) <= 0 }
}
