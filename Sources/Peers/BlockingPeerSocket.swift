internal import Glibc

/// A TCP socket on the loopback interface whose calls block; -1 once closed.
struct BlockingPeerSocket: Sendable {
    let descriptor: Int32

    enum Read { case bytes([UInt8]), nothingYet, ended }

    private static func make() -> BlockingPeerSocket? {
        let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        let descriptor = socket(AF_INET, type, 0)
        guard descriptor >= 0 else { return nil }
        var yes: Int32 = 1
        unsafe _ = setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, 4)
        unsafe _ = setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &yes, 4)
        return BlockingPeerSocket(descriptor: descriptor)
    }

    private static func withLoopback<Result>(
        _ port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result
    ) -> Result {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        return unsafe withUnsafePointer(to: &address) {
            unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }

    /// Listens on a port of 127.0.0.1; 0 lets the kernel choose. Nil where that is not to be had.
    static func listen(port: UInt16) -> BlockingPeerSocket? {
        guard let socket = make() else { return nil }
        let bound = unsafe withLoopback(port) { unsafe bind(socket.descriptor, $0, $1) }
        guard bound == 0, Glibc.listen(socket.descriptor, 128) == 0 else {
            socket.close()
            return nil
        }
        return socket
    }

    static func connect(port: UInt16) -> BlockingPeerSocket? {
        guard let socket = make() else { return nil }
        let result = unsafe withLoopback(port) { unsafe Glibc.connect(socket.descriptor, $0, $1) }
        guard result == 0 else {
            socket.close()
            return nil
        }
        return socket
    }

    /// The port it listens on.
    var port: UInt16 {
        var address = sockaddr_in()
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        unsafe withUnsafeMutablePointer(to: &address) {
            unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe _ = getsockname(descriptor, $0, &length)
            }
        }
        return UInt16(bigEndian: address.sin_port)
    }

    /// Nil once the socket was shut down.
    func accept() -> BlockingPeerSocket? {
        let accepted = Glibc.accept(descriptor, nil, nil)
        return accepted < 0 ? nil : BlockingPeerSocket(descriptor: accepted)
    }

    /// Waits for bytes for so many milliseconds; -1 is for ever.
    func read(waiting milliseconds: Int32) -> Read {
        var poller = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        var ready: Int32
        repeat { ready = unsafe poll(&poller, 1, milliseconds) } while ready < 0 && errno == EINTR
        if ready == 0 { return .nothingYet }
        var bytes = [UInt8](repeating: 0, count: 65_536)
        let count = unsafe recv(descriptor, &bytes, bytes.count, 0)
        return count > 0 ? .bytes(Array(bytes[..<count])) : .ended
    }

    /// Sends everything; false where the connection is gone.
    func write(_ bytes: [UInt8]) -> Bool {
        var sent = 0
        while sent < bytes.count {
            let count = unsafe bytes.withUnsafeBytes {
                let rest = unsafe UnsafeRawBufferPointer(rebasing: $0[sent...])
                let noSignal = Int32(MSG_NOSIGNAL)
                return unsafe send(descriptor, rest.baseAddress, rest.count, noSignal)
            }
            if count < 0, errno != EINTR { return false }
            sent += max(0, count)
        }
        return true
    }

    /// Ends both directions and wakes whoever waits for it.
    func shutDown() { _ = shutdown(descriptor, Int32(SHUT_RDWR)) }

    func close() { _ = Glibc.close(descriptor) }

    /// Nanoseconds on a clock that never steps.
    static func now() -> Int64 {
        var time = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}

/// Runs `body` in a thread of its own, which nobody waits for.
public func startThread(_ body: @escaping @Sendable () -> Void) {
    final class Box: Sendable {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
    var thread = pthread_t()
    let box = unsafe Unmanaged.passRetained(Box(body)).toOpaque()
    let failure = unsafe pthread_create(
        &thread, nil,
        { argument in
            if let argument = unsafe argument {
                unsafe Unmanaged<Box>.fromOpaque(argument).takeRetainedValue().body()
            }
            return nil
        }, box)
    guard failure == 0 else { return unsafe Unmanaged<Box>.fromOpaque(box).release() }
    pthread_detach(thread)
}
