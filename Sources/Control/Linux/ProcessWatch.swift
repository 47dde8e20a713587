internal import CLinux
internal import Glibc

/// Another process, which somebody wants to know the end of.
final class ProcessWatch {
    /// Readable once the process has ended.
    let descriptor: Int32

    /// Nil for one that is not in sight.
    init?(_ processID: Int32) {
        descriptor = processID > 0 ? pidfd_open(processID, 0) : -1
        guard descriptor >= 0 else { return nil }
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    var hasEnded: Bool {
        var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return unsafe poll(&entry, 1, 0) == 1
    }

    /// This process.
    static var ownID: Int32 { getpid() }
}
