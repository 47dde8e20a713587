import CLinux
import Glibc
import Wire

@testable import Proxy

/// A plain stream socket of a test's own.
final class LinuxSocket {
    let descriptor: Int32

    private init(_ address: SocketAddress) {
        let flags = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue)
        descriptor = socket(address.family, flags, 0)
    }

    deinit { close(descriptor) }

    /// Where a listening socket listens, with the port that the system chose.
    static func address(of descriptor: Int32) -> SocketAddress {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        unsafe withUnsafeMutablePointer(to: &storage) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe _ = getsockname(descriptor, $0, &length)
            }
        }
        return SocketAddress(storage)
    }

    /// The same, where a unix socket's is known already.
    static func address(of descriptor: Int32, orUnix known: SocketAddress) -> SocketAddress {
        if case .unix = known { known } else { address(of: descriptor) }
    }

    /// A duplicate that somebody else is to close.
    func handOver() -> Int32 { dup(descriptor) }

    /// A socket that listens and accepts nothing; its queue takes one connection.
    static func listening(on address: SocketAddress) -> LinuxSocket {
        let socket = LinuxSocket(address)
        unsafe _ = address.withSockAddr { unsafe bind(socket.descriptor, $0, $1) }
        _ = listen(socket.descriptor, 0)
        return socket
    }

    /// A socket that connects, and errno where that fails at once (EINPROGRESS is none).
    static func connecting(to address: SocketAddress) -> (LinuxSocket, errno: Int32) {
        let socket = LinuxSocket(address)
        let result = unsafe address.withSockAddr { unsafe connect(socket.descriptor, $0, $1) }
        return (socket, result == 0 || errno == EINPROGRESS ? 0 : errno)
    }
}
