internal import CLinux
internal import Glibc
internal import Proxy
internal import Synchronization
internal import Wire

/// Listening sockets that came from outside, found by their addresses: a supervisor opened them
/// (systemd's socket activation), or a predecessor handed them over.
///
/// A supervisor keeps its own open as well, so that nobody else could bind their addresses: they
/// stay for the life of the process, and whoever listens gets a duplicate. Others belong to whoever
/// listens on them first.
final class InheritedSockets: Sendable {
    struct Socket: Sendable {
        let name: String
        let descriptor: Int32
        /// Nil for what is no listening stream socket.
        let address: SocketAddress?
    }

    private struct Open {
        var supervised: [Socket] = []
        /// Nobody has asked for them yet.
        var handed: [SocketAddress: ListeningSocket] = [:]
        /// They stay open as long as this.
        var owners: [ListeningSocket] = []
    }

    private let open: Mutex<Open>

    /// Takes over as many descriptors as there are names.
    init(names: [String], first: Int32 = SupervisorTerms.firstDescriptor) {
        var found = Open()
        for (index, name) in names.enumerated() {
            let descriptor = first + Int32(index)
            _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
            let address = KernelSocket.listeningAddress(descriptor)
            found.supervised.append(Socket(name: name, descriptor: descriptor, address: address))
            guard address != nil else { continue }
            let flags = fcntl(descriptor, F_GETFL)
            _ = fcntl(descriptor, F_SETFL, flags | O_NONBLOCK)
            found.owners.append(ListeningSocket(descriptor: descriptor) { Glibc.close($0) })
        }
        open = Mutex(found)
    }

    /// The supervisor's.
    var sockets: [Socket] { open.withLock { $0.supervised } }

    /// A predecessor's, until `releaseHanded`.
    func add(_ handed: [HandedSocket]) {
        open.withLock { open in
            for entry in handed {
                guard let name = entry.supervisedName else {
                    open.handed[entry.address] = entry.socket
                    continue
                }
                open.owners.append(entry.socket)
                open.supervised.append(
                    Socket(
                        name: name, descriptor: entry.socket.descriptor, address: entry.address))
            }
        }
    }

    /// Closes those of a predecessor that nothing listens on: clients would wait in their queues
    /// for ever. Gives their addresses.
    func releaseHanded() -> [SocketAddress] {
        open.withLock { open in
            defer { open.handed = [:] }
            return Array(open.handed.keys)
        }
    }

    /// The socket with this address, or a new one where none came from outside.
    func listen(
        on address: SocketAddress, mode: UInt32? = nil
    ) throws(ListenError) -> ListeningSocket {
        if let handed = open.withLock({ $0.handed.removeValue(forKey: address) }) { return handed }
        guard let socket = sockets.first(where: { $0.address == address }) else {
            return try Sockets.listen(on: address, mode: mode)
        }
        return try duplicate(socket.descriptor, address)
    }

    /// The supervisor's, each with a duplicate to hand on.
    var supervised: [(address: SocketAddress, name: String, socket: ListeningSocket)] {
        sockets.compactMap { socket in
            guard let address = socket.address,
                let duplicate = try? duplicate(socket.descriptor, address)
            else { return nil }
            return (address, socket.name, duplicate)
        }
    }

    private func duplicate(
        _ descriptor: Int32, _ address: SocketAddress
    ) throws(ListenError) -> ListeningSocket {
        let duplicate = fcntl(descriptor, F_DUPFD_CLOEXEC, 0)
        guard duplicate >= 0 else { throw ListenError(address: address, errno: errno) }
        return ListeningSocket(descriptor: duplicate) { Glibc.close($0) }
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
}
