internal import CLinux
internal import Glibc

/// Signals as something to poll for. Blocked in every thread that starts afterwards.
final class Signals {
    enum Signal { case terminate, reload, reopen, upgrade }

    let descriptor: Int32

    init() {
        var set = sigset_t()
        unsafe sigemptyset(&set)
        for signal in [SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2] { unsafe sigaddset(&set, signal) }
        unsafe pthread_sigmask(SIG_BLOCK, &set, nil)
        _ = Glibc.signal(SIGPIPE, SIG_IGN)
        descriptor = unsafe signalfd(-1, &set, Int32(SFD_CLOEXEC) | Int32(SFD_NONBLOCK))
    }

    deinit { close(descriptor) }

    /// The next signal that came, or nil.
    func next() -> Signal? {
        var info = signalfd_siginfo()
        let size = MemoryLayout<signalfd_siginfo>.size
        guard unsafe read(descriptor, &info, size) == size else { return nil }
        switch info.ssi_signo {
        case UInt32(SIGHUP): return .reload
        case UInt32(SIGUSR1): return .reopen
        case UInt32(SIGUSR2): return .upgrade
        default: return .terminate
        }
    }
}

/// Waiting for descriptors, and the time.
enum Waiting {
    /// Waits until one of `descriptors` is readable or so many milliseconds have passed.
    static func wait(for descriptors: [Int32], milliseconds: Int32) {
        var list = descriptors.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
        unsafe _ = poll(&list, nfds_t(list.count), milliseconds)
    }

    /// Ends the process without asking anybody.
    static func exitAtOnce() -> Never { _exit(1) }

    /// Nanoseconds on the monotonic clock.
    static func now() -> Int64 { nanoseconds(CLOCK_MONOTONIC) }

    /// Nanoseconds since 1970, as file systems tell time.
    static func nowSince1970() -> Int64 { nanoseconds(CLOCK_REALTIME) }

    private static func nanoseconds(_ clock: clockid_t) -> Int64 {
        var time = timespec()
        unsafe clock_gettime(clock, &time)
        return Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec)
    }
}
