internal import CLinux
internal import CMicroHTTPD
internal import Glibc
internal import Proxy
internal import Synchronization

/// Accepts connections for libmicrohttpd, on a thread of its own: the library's loop spins while a
/// connection waits that no descriptor is left for.
@safe
final class HTTPAcceptor: Sendable {
    private enum Accepted { case connection, nothingYet, exhausted }

    private static let restMilliseconds: Int32 = 100
    private let bell: Bell
    private let over: Bell
    private let isStopped = Atomic(false)

    /// Nil where no thread or descriptor is left. `listener` and `daemon`, the library's, stay the
    /// caller's, and must be there until `stop` has returned.
    init?(_ listener: Int32, for daemon: UInt) {
        guard let bell = Bell(), let over = Bell() else { return nil }
        self.bell = bell
        self.over = over
        guard Thread.start({ self.run(listener, daemon) }) else { return nil }
    }

    /// Returns when nothing more is accepted.
    func stop() {
        isStopped.store(true, ordering: .releasing)
        bell.waker.ring()
        Waiting.wait(for: [over.descriptor], milliseconds: -1)
    }

    private func run(_ listener: Int32, _ daemon: UInt) {
        var rests = false
        while true {
            if rests {
                Waiting.wait(for: [bell.descriptor], milliseconds: Self.restMilliseconds)
            } else {
                Waiting.wait(for: [listener, bell.descriptor], milliseconds: -1)
            }
            if isStopped.load(ordering: .acquiring) { break }
            rests = accept(listener, daemon) == .exhausted
        }
        over.waker.ring()
    }

    private func accept(_ listener: Int32, _ daemon: UInt) -> Accepted {
        var storage = sockaddr_storage()
        return unsafe withUnsafeMutablePointer(to: &storage) { storage in
            unsafe storage.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
                let descriptor = unsafe weir_accept4(listener, address, &length)
                guard descriptor < 0 else {
                    // The library owns the descriptor from here on, whatever it thinks of it.
                    let daemon = unsafe OpaquePointer(bitPattern: daemon)
                    unsafe _ = MHD_add_connection(daemon, descriptor, address, length)
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
