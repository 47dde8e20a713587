internal import CLinux
internal import Glibc
public import Wire

/// The kernel: epoll, sockets and the monotonic clock.
@safe
public final class LinuxSystem: System {
    private static let eventsMax = 512
    private static let processInstance = UInt64.random(in: .min ... .max)
    private let epoll: Int32
    private let events: UnsafeMutablePointer<epoll_event>
    private let bell: Bell
    private var generator = SystemRandomNumberGenerator()
    /// Small random numbers are taken from one draw of the kernel's.
    private var randomState: UInt64

    /// Nil where the process has no descriptor left.
    public init?(_: Void = ()) {
        guard let bell = Bell() else { return nil }
        self.bell = bell
        epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
        unsafe events = .allocate(capacity: Self.eventsMax)
        randomState = generator.next()
        super.init()
        guard epoll >= 0 else { return nil }
        let tag = PollTag(descriptor: bell.descriptor, generation: 0)
        control(EPOLL_CTL_ADD, tag, EPOLLIN.rawValue)
    }

    deinit {
        Glibc.close(epoll)
        unsafe events.deallocate()
    }

    // MARK: Time and chance

    public override func now() -> Int64 {
        var time = timespec()
        unsafe clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec)
    }

    public override func unixTime() -> Int64 {
        var time = timespec()
        unsafe clock_gettime(CLOCK_REALTIME_COARSE, &time)
        return Int64(time.tv_sec)
    }

    /// SplitMix64: balancing and jitter need no secret.
    public override func random() -> UInt64 {
        randomState &+= 0x9E37_79B9_7F4A_7C15
        var mixed = randomState
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    public override var instance: UInt64 { Self.processInstance }

    // MARK: Sockets

    public override func accept(_ listener: Int32) -> Accepted {
        while true {
            var storage = sockaddr_storage()
            var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
            let descriptor = unsafe withUnsafeMutablePointer(to: &storage) {
                unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    unsafe weir_accept4(listener, $0, &length)
                }
            }
            if descriptor >= 0 {
                disableNagle(descriptor)
                return .connection(descriptor, from: SocketAddress(storage))
            }
            switch errno {
            case EINTR, ECONNABORTED, EPROTO: continue
            case EMFILE, ENFILE, ENOBUFS, ENOMEM: return .exhausted
            default: return .nothingYet
            }
        }
    }

    public override func connect(
        to address: SocketAddress, _ options: ConnectOptions
    ) -> Connecting {
        let flags = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
        let descriptor = socket(address.family, flags, 0)
        guard descriptor >= 0 else { return .failed(errno: errno) }
        if !address.isUnix {
            disableNagle(descriptor)
            set(descriptor, SOL_SOCKET, SO_KEEPALIVE, 1)
            if options.userTimeoutMilliseconds > 0 {
                let timeout = options.userTimeoutMilliseconds
                set(descriptor, Int32(IPPROTO_TCP), TCP_USER_TIMEOUT, timeout)
                // Keepalive probes at a third of it, so that a silent peer is found as fast.
                let seconds = max(1, timeout / 3_000)
                set(descriptor, Int32(IPPROTO_TCP), TCP_KEEPIDLE, seconds)
                set(descriptor, Int32(IPPROTO_TCP), TCP_KEEPINTVL, seconds)
                set(descriptor, Int32(IPPROTO_TCP), TCP_KEEPCNT, 3)
            }
        }
        let result = unsafe address.withSockAddr { unsafe Glibc.connect(descriptor, $0, $1) }
        if result == 0 || errno == EINPROGRESS { return .started(descriptor) }
        let failure = errno
        Glibc.close(descriptor)
        return .failed(errno: failure)
    }

    public override func connectionError(_ descriptor: Int32) -> Int32 {
        var failure: Int32 = 0
        var length = socklen_t(4)
        let result = unsafe getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &failure, &length)
        return result == 0 ? failure : errno
    }

    public override func receive(
        _ descriptor: Int32, into buffer: UnsafeMutableRawBufferPointer
    ) -> Received {
        while true {
            let count = unsafe recv(descriptor, buffer.baseAddress, buffer.count, 0)
            if count > 0 { return .bytes(count) }
            if count == 0 { return .ended }
            switch errno {
            case EAGAIN: return .nothingYet
            case EINTR: continue
            default: return .failed(errno: errno)
            }
        }
    }

    public override func send(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) -> Sent {
        var sent = 0
        while sent < bytes.count, let start = bytes.baseAddress {
            let noSignal = Int32(MSG_NOSIGNAL)
            let count = unsafe Glibc.send(descriptor, start + sent, bytes.count - sent, noSignal)
            if count >= 0 {
                sent += count
                continue
            }
            switch errno {
            case EAGAIN: return .bytes(sent)
            case EINTR: continue
            default: return .failed(errno: errno)
            }
        }
        return .bytes(sent)
    }

    public override func close(_ descriptor: Int32) { Glibc.close(descriptor) }

    public override func finish(_ descriptor: Int32) { shutdown(descriptor, Int32(SHUT_WR)) }

    public override func unacknowledged(_ descriptor: Int32) -> Int {
        var count: Int32 = 0
        return unsafe weir_outq(descriptor, &count) == 0 ? Int(count) : 0
    }

    // MARK: Readiness

    public override func watch(_ tag: PollTag) {
        let interest =
            EPOLLIN.rawValue | EPOLLOUT.rawValue | EPOLLRDHUP.rawValue | EPOLLET.rawValue
        control(EPOLL_CTL_ADD, tag, interest)
    }

    /// EPOLLEXCLUSIVE: of all workers that watch a listener, one is woken.
    public override func watchListener(_ tag: PollTag) {
        control(EPOLL_CTL_ADD, tag, EPOLLIN.rawValue | UInt32(1) << 28)
    }

    public override func unwatch(_ descriptor: Int32) {
        _ = epoll_ctl(epoll, EPOLL_CTL_DEL, descriptor, nil)
    }

    public override func wait(until deadline: Int64?) -> Int {
        var milliseconds: Int32 = -1
        if let deadline {
            let left = max(0, deadline - now())
            milliseconds = Int32(clamping: (left + 999_999) / 1_000_000)
        }
        let count = unsafe epoll_wait(epoll, events, Int32(Self.eventsMax), milliseconds)
        return max(0, Int(count))
    }

    public override func readiness(at index: Int) -> Readiness {
        precondition(index >= 0 && index < Self.eventsMax, "no such ready descriptor")
        let event = unsafe events[index]
        let failed = EPOLLERR.rawValue | EPOLLHUP.rawValue
        let tag = PollTag(word: unsafe event.data.u64)
        if tag.descriptor == bell.descriptor { bell.silence() }
        let bits = unsafe event.events
        return Readiness(
            tag: tag,
            readable: bits & (EPOLLIN.rawValue | failed) != 0,
            writable: bits & (EPOLLOUT.rawValue | failed) != 0,
            hungUp: bits & (EPOLLRDHUP.rawValue | failed) != 0)
    }

    public override var waker: Waker { bell.waker }

    private func control(_ operation: Int32, _ tag: PollTag, _ interest: UInt32) {
        var event = unsafe epoll_event(events: interest, data: .init(u64: tag.word))
        unsafe _ = epoll_ctl(epoll, operation, tag.descriptor, &event)
    }
}

private func disableNagle(_ descriptor: Int32) {
    // Fails on unix sockets, which have no delay to disable.
    set(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, 1)
}

private func set(_ descriptor: Int32, _ level: Int32, _ option: Int32, _ value: Int32) {
    var value = value
    unsafe _ = setsockopt(descriptor, level, option, &value, 4)
}
