internal import CLinux
internal import CMicroHTTPD
internal import Glibc
internal import Proxy
internal import Synchronization

/// How many connections a port has, counted by whoever accepts and by the library's thread.
final class HTTPRoom: Sendable {
    /// More are closed at once.
    static let connectionsMax = 64
    private let count = Atomic(0)

    /// False where there is none.
    func take() -> Bool {
        if count.add(1, ordering: .relaxed).newValue <= Self.connectionsMax { return true }
        give()
        return false
    }

    func give() { count.subtract(1, ordering: .relaxed) }
}

/// Accepts connections for libmicrohttpd, on a thread of its own: the library's loop spins while a
/// connection waits that no descriptor is left for.
@safe
final class HTTPAcceptor: Sendable {
    private enum Accepted { case connection, nothingYet, exhausted }

    private static let restMilliseconds: Int32 = 100
    private let bell: Bell
    private let over: Bell
    private let room: HTTPRoom
    private let isStopped = Atomic(false)

    /// Nil where no thread or descriptor is left. `listener` and `daemon`, the library's, stay the
    /// caller's, and must be there until `stop` has returned.
    init?(_ listener: Int32, for daemon: UInt, _ room: HTTPRoom) {
        guard let bell = Bell(), let over = Bell() else { return nil }
        self.room = room
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
                    guard room.take() else {
                        close(descriptor)
                        return .connection
                    }
                    // The library owns the descriptor from here on, whatever it thinks of it.
                    let daemon = unsafe OpaquePointer(bitPattern: daemon)
                    let result = unsafe MHD_add_connection(daemon, descriptor, address, length)
                    if result != .taken { room.give() }
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
