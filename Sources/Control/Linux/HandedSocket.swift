internal import CLinux
internal import Glibc
internal import Proxy
internal import Wire

/// A listening socket that another process handed over, found to be what was said of it.
struct HandedSocket: Sendable {
    let address: SocketAddress
    /// What a supervisor calls a socket that it opened itself, and keeps.
    let supervisedName: String?
    let socket: ListeningSocket

    /// Takes the descriptors, if they are the listening sockets that are announced: what is said of
    /// a socket counts for nothing beside what the kernel says.
    static func matching(
        _ announced: [HandOver.Socket], _ descriptors: UnclaimedDescriptors, _ path: String
    ) throws(TakeoverFailure) -> [HandedSocket] {
        let (said, came) = (announced.count, descriptors.count)
        guard said == came else {
            throw .refused("\(path): \(said) sockets are announced, and \(came) came")
        }
        let sockets = descriptors.claim().map { descriptor in
            ListeningSocket(descriptor: descriptor) { Glibc.close($0) }
        }
        var handed: [HandedSocket] = []
        for (entry, socket) in zip(announced, sockets) {
            let address = KernelSocket.listeningAddress(socket.descriptor)
            guard address == entry.address else {
                let found = address.map { "\($0)" } ?? "no listening stream socket"
                throw .refused("\(path): what came for \(entry.address) is \(found)")
            }
            let flags = fcntl(socket.descriptor, F_GETFL)
            _ = fcntl(socket.descriptor, F_SETFL, flags | O_NONBLOCK)
            handed.append(
                HandedSocket(
                    address: entry.address, supervisedName: entry.supervisedName, socket: socket))
        }
        return handed
    }
}

/// What the kernel says of a descriptor.
enum KernelSocket {
    /// Where it listens; nil for what is no listening stream socket.
    static func listeningAddress(_ descriptor: Int32) -> SocketAddress? {
        guard option(descriptor, SO_TYPE) == Int32(SOCK_STREAM.rawValue),
            option(descriptor, SO_ACCEPTCONN) == 1
        else { return nil }
        return address(descriptor)
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
