internal import CLinux
internal import Glibc
internal import Proxy
internal import Wire

/// Listening sockets that a supervisor opened and handed over (systemd's socket activation),
/// found by their addresses.
///
/// The supervisor keeps them open as well, so that nobody else could bind their addresses: they
/// stay for the life of the process, and whoever listens gets a duplicate.
final class InheritedSockets: Sendable {
    struct Socket: Sendable {
        let name: String
        let descriptor: Int32
        /// Nil for what is no listening stream socket.
        let address: SocketAddress?
    }

    let sockets: [Socket]

    /// Takes over as many descriptors as there are names.
    init(names: [String], first: Int32 = SupervisorTerms.firstDescriptor) {
        sockets = names.enumerated().map { index, name in
            let descriptor = first + Int32(index)
            _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
            guard Self.isListening(descriptor) else {
                return Socket(name: name, descriptor: descriptor, address: nil)
            }
            let flags = fcntl(descriptor, F_GETFL)
            _ = fcntl(descriptor, F_SETFL, flags | O_NONBLOCK)
            return Socket(name: name, descriptor: descriptor, address: Self.address(descriptor))
        }
    }

    deinit { for socket in sockets where socket.address != nil { close(socket.descriptor) } }

    /// The socket with this address, or a new one where none was handed over.
    func listen(
        on address: SocketAddress, mode: UInt32? = nil
    ) throws(ListenError) -> ListeningSocket {
        guard let socket = sockets.first(where: { $0.address == address }) else {
            return try Sockets.listen(on: address, mode: mode)
        }
        let descriptor = fcntl(socket.descriptor, F_DUPFD_CLOEXEC, 0)
        guard descriptor >= 0 else { throw ListenError(address: address, errno: errno) }
        return ListeningSocket(descriptor: descriptor) { Glibc.close($0) }
    }

    /// Those that nothing in the configuration listens on, in words.
    func unused(by addresses: Set<SocketAddress>) -> [String] {
        sockets.compactMap { socket in
            guard let address = socket.address else {
                let place = "descriptor=\(socket.descriptor) name=\(socket.name)"
                return "inherited \(place) is no listening stream socket"
            }
            if addresses.contains(address) { return nil }
            return "inherited socket \(address) name=\(socket.name) has no listener: "
                + "nobody answers there"
        }
    }

    private static func isListening(_ descriptor: Int32) -> Bool {
        option(descriptor, SO_TYPE) == Int32(SOCK_STREAM.rawValue)
            && option(descriptor, SO_ACCEPTCONN) == 1
    }

    private static func option(_ descriptor: Int32, _ name: Int32) -> Int32? {
        var value: Int32 = 0
        var length: socklen_t = 4
        guard unsafe getsockopt(descriptor, SOL_SOCKET, name, &value, &length) == 0 else {
            return nil
        }
        return value
    }

    private static func address(_ descriptor: Int32) -> SocketAddress? {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let found = unsafe withUnsafeMutablePointer(to: &storage) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                unsafe getsockname(descriptor, $0, &length)
            }
        }
        return found == 0 ? SocketAddress(listening: storage, length: Int(length)) : nil
    }
}
