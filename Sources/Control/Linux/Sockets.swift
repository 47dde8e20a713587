internal import CLinux
internal import Glibc
internal import Proxy
public import Wire

/// Listening sockets, bound once in the process and shared by its workers.
enum Sockets {
    private static let backlog: Int32 = 4_096

    /// Binds and listens; throws what the system said, in words.
    ///
    /// - mode: of a unix socket's file, which has it from the beginning.
    static func listen(
        on address: SocketAddress, mode: UInt32? = nil
    ) throws(ListenError) -> ListeningSocket {
        removeStaleSocket(address)
        let flags = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
        let descriptor = socket(address.family, flags, 0)
        guard descriptor >= 0 else { throw ListenError(address: address, errno: errno) }
        set(descriptor, SOL_SOCKET, SO_REUSEADDR, 1)
        // `[::]` takes IPv4 clients as well.
        if address.family == AF_INET6 { set(descriptor, Int32(IPPROTO_IPV6), IPV6_V6ONLY, 0) }
        // On Linux the file that `bind` makes inherits the socket's own mode.
        if let mode, case .unix = address { _ = fchmod(descriptor, mode) }
        let bound = unsafe address.withSockAddr { unsafe bind(descriptor, $0, $1) }
        guard bound == 0, Glibc.listen(descriptor, backlog) == 0 else {
            let error = ListenError(address: address, errno: errno)
            close(descriptor)
            throw error
        }
        return ListeningSocket(descriptor: descriptor) { Glibc.close($0) }
    }

    /// A socket's file outlives its process: one that nobody listens on is in the way.
    private static func removeStaleSocket(_ address: SocketAddress) {
        guard case .unix(let path) = address, path.utf8.first != UInt8(ascii: "@") else { return }
        var status = stat()
        guard unsafe lstat(path, &status) == 0, status.st_mode & S_IFMT == S_IFSOCK else { return }
        // Without waiting: one whose queue is full is in use.
        let flags = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
        let probe = socket(AF_UNIX, flags, 0)
        guard probe >= 0 else { return }
        defer { close(probe) }
        let connected = unsafe address.withSockAddr { unsafe connect(probe, $0, $1) }
        if connected != 0 && errno == ECONNREFUSED { unsafe _ = unlink(path) }
    }

    private static func set(
        _ descriptor: Int32, _ level: Int32, _ option: Int32, _ value: Int32
    ) {
        var value = value
        unsafe _ = setsockopt(descriptor, level, option, &value, 4)
    }
}

/// Why an address cannot be listened on.
public struct ListenError: Error, CustomStringConvertible {
    public let address: SocketAddress
    public let errno: Int32

    public var description: String {
        "cannot listen on \(address): \(unsafe String(cString: strerror(errno)))"
    }
}
