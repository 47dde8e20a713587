internal import Proxy
internal import Synchronization

/// Ends a controller from any thread, as SIGTERM does.
public final class Stopper: Sendable {
    private let asked = Atomic(false)
    private let waker: Waker

    init(waker: Waker) { self.waker = waker }

    /// Drains; more than one call is as one.
    public func stop() {
        asked.store(true, ordering: .releasing)
        waker.ring()
    }

    /// True once a drain was asked for, by `stop` or by a signal.
    public var isAsked: Bool { asked.load(ordering: .acquiring) }

    /// A signal asked for it.
    func draining() { asked.store(true, ordering: .releasing) }
}
