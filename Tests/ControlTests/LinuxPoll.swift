import Glibc

enum LinuxPoll {
    /// True where the descriptor would wake whoever waits for it; does not wait.
    static func isReadable(_ descriptor: Int32) -> Bool {
        var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return unsafe poll(&entry, 1, 0) == 1
    }
}
