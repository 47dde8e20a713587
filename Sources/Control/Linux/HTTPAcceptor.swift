internal import CLinux
internal import Glibc
internal import Proxy
internal import Synchronization

/// Accepts connections for libmicrohttpd, on a thread of its own: the library's loop spins while a
/// connection waits that no descriptor is left for.
@safe
final class HTTPAcceptor: Sendable {
    /// What a connection is given to, which owns the descriptor from then on.
    typealias Taker = @Sendable (Int32, UnsafePointer<sockaddr>, socklen_t) -> Void

    private enum Accepted { case connection, nothingYet, exhausted }

    private static let restMilliseconds: Int32 = 100
    private let bell: Bell
    private let over: Bell
    private let isStopped = Atomic(false)

    /// Nil where no thread or descriptor is left. `listener` stays the caller's, and open until
    /// `stop` has returned.
    init?(_ listener: Int32, _ taker: @escaping Taker) {
        guard let bell = Bell(), let over = Bell() else { return nil }
        self.bell = bell
        self.over = over
        guard Thread.start({ self.run(listener, taker) }) else { return nil }
    }

    /// Returns when nothing more is accepted.
    func stop() {
        isStopped.store(true, ordering: .releasing)
        bell.waker.ring()
        Waiting.wait(for: [over.descriptor], milliseconds: -1)
    }

    private func run(_ listener: Int32, _ taker: Taker) {
        var rests = false
        while true {
            if rests {
                Waiting.wait(for: [bell.descriptor], milliseconds: Self.restMilliseconds)
            } else {
                Waiting.wait(for: [listener, bell.descriptor], milliseconds: -1)
            }
            if isStopped.load(ordering: .acquiring) { break }
            rests = unsafe accept(listener, taker) == .exhausted
        }
        over.waker.ring()
    }

    private func accept(_ listener: Int32, _ taker: Taker) -> Accepted {
        var storage = sockaddr_storage()
        return unsafe withUnsafeMutablePointer(to: &storage) { storage in
            unsafe storage.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
                let descriptor = unsafe weir_accept4(listener, address, &length)
                if descriptor >= 0 {
                    unsafe taker(descriptor, address, length)
                    return .connection
                }
                switch errno {
                case EMFILE, ENFILE, ENOBUFS, ENOMEM: return .exhausted
                default: return .nothingYet
                }
            }
        }
    }
}
