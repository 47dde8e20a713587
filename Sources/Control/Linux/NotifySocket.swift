internal import CLinux
internal import Glibc
internal import Proxy
internal import Wire

/// Sends messages to a service supervisor.
final class NotifySocket {
    /// A supervisor whose queue is full is waited for, but not for ever.
    private static let timeoutSeconds = 1

    private let address: SocketAddress
    private let descriptor = socket(
        AF_UNIX, Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue), 0)

    init(_ address: SocketAddress) {
        self.address = address
        var timeout = timeval(tv_sec: Self.timeoutSeconds, tv_usec: 0)
        let size = socklen_t(MemoryLayout<timeval>.size)
        unsafe _ = setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &timeout, size)
    }

    deinit { close(descriptor) }

    /// Nothing depends on what becomes of it.
    func send(_ message: String) {
        let bytes = Array(message.utf8)
        unsafe address.withSockAddr { name, length in
            unsafe _ = sendto(
                descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL), name, length)
        }
    }
}

extension SupervisorTerms {
    /// Those of this process, by its environment.
    public static func own(_ environment: [String: String]) -> SupervisorTerms {
        SupervisorTerms(environment, processID: getpid())
    }

    /// What was for this process alone must not reach another.
    static func clearEnvironment() {
        for variable in variables { unsafe _ = unsetenv(variable) }
    }
}
