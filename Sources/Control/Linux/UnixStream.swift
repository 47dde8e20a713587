internal import CLinux
internal import Glibc
internal import Proxy
internal import Wire

/// A connection over a unix socket whose calls wait. Whoever has it closes it.
struct UnixStream: Sendable {
    enum Read { case bytes([UInt8]), nothingYet, ended }

    struct ConnectError: Error, CustomStringConvertible {
        let errno: Int32
        var description: String { unsafe String(cString: strerror(errno)) }
    }

    let descriptor: Int32

    /// nil where nobody listens.
    static func connect(_ path: String) -> UnixStream? { try? open(path) }

    static func open(_ path: String) throws(ConnectError) -> UnixStream {
        let flags = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
        let descriptor = socket(AF_UNIX, flags, 0)
        guard descriptor >= 0 else { throw ConnectError(errno: errno) }
        let stream = UnixStream(descriptor: descriptor)
        let address = SocketAddress.unix(path: path)
        let connected = unsafe address.withSockAddr { unsafe Glibc.connect(descriptor, $0, $1) }
        guard connected == 0 else {
            let failure = ConnectError(errno: errno)
            stream.close()
            throw failure
        }
        stream.limitWrites()
        return stream
    }

    /// The next connection of a listening socket, which does not block; nil after so many
    /// milliseconds without one.
    static func accept(on listener: Int32, waiting milliseconds: Int32) -> UnixStream? {
        Waiting.wait(for: [listener], milliseconds: milliseconds)
        let descriptor = Glibc.accept(listener, nil, nil)
        guard descriptor >= 0 else { return nil }
        _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
        let stream = UnixStream(descriptor: descriptor)
        stream.limitWrites()
        return stream
    }

    /// Who is at the other end.
    var user: UInt32? {
        var user: uid_t = 0
        return unsafe weir_peer_user(descriptor, &user) == 0 ? user : nil
    }

    func read(waiting milliseconds: Int32) -> Read {
        Waiting.wait(for: [descriptor], milliseconds: milliseconds)
        var bytes = [UInt8](repeating: 0, count: 16_384)
        let count = unsafe recv(descriptor, &bytes, bytes.count, Int32(MSG_DONTWAIT))
        if count > 0 { return .bytes(Array(bytes[..<count])) }
        return count < 0 && (errno == EAGAIN || errno == EINTR) ? .nothingYet : .ended
    }

    /// Sends everything; false where the connection is gone or takes nothing.
    func write(_ bytes: [UInt8]) -> Bool {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = unsafe rest.withUnsafeBytes {
                unsafe send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            if count < 0 && errno != EINTR { return false }
            rest = rest.dropFirst(max(count, 0))
        }
        return true
    }

    func close() { _ = Glibc.close(descriptor) }

    private func limitWrites() {
        var timeout = timeval(tv_sec: 10, tv_usec: 0)
        let size = socklen_t(MemoryLayout<timeval>.size)
        unsafe _ = setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &timeout, size)
    }
}
