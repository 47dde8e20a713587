internal import CAres
internal import CLinux
internal import Glibc
internal import Rules
internal import Wire

/// The questions of one lookup, asked through c-ares. The only file that knows it.
///
/// A channel for each lookup: it reads /etc/resolv.conf anew, uses ports of its own, and takes what
/// is left of it along when it goes. c-ares asks again over TCP where an answer was cut, and goes
/// from server to server. Nothing here blocks; callbacks only note what came.
@safe
final class NameChannel {
    /// RFC 6891, 6.2.5, as most have settled on since.
    private static let datagramBytes: Int32 = 1_232
    private static let classInternet: Int32 = 1

    /// What the callbacks note, and where they find sockets to watch.
    fileprivate final class Notes {
        let poll: NamePoll
        var sockets: Set<Int32> = []
        var replies: [(question: NameLookup.Question, reply: NameLookup.Reply)] = []

        init(_ poll: NamePoll) { self.poll = poll }
    }

    /// What c-ares carries along with a question.
    fileprivate final class Asked {
        let question: NameLookup.Question
        let notes: Notes

        init(_ question: NameLookup.Question, _ notes: Notes) {
            self.question = question
            self.notes = notes
        }
    }

    private let notes: Notes
    private let channel: OpaquePointer

    /// Nil where memory or descriptors ran out.
    init?(_ terms: DNSTerms, _ poll: NamePoll) {
        let notes = Notes(poll)
        var options = unsafe ares_options()
        unsafe options.flags = ARES_FLAG_EDNS
        unsafe options.ednspsz = Self.datagramBytes
        unsafe options.timeout = Int32(clamping: max(1, terms.timeout / 1_000_000))
        unsafe options.tries = Int32(clamping: terms.tries)
        unsafe options.sock_state_cb = socketChanged
        unsafe options.sock_state_cb_data = Unmanaged.passUnretained(notes).toOpaque()
        let given =
            ARES_OPT_FLAGS | ARES_OPT_EDNSPSZ | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES
            | ARES_OPT_SOCK_STATE_CB
        var opened: OpaquePointer?
        guard unsafe ares_init_options(&opened, &options, given) == ARES_SUCCESS,
            let opened = unsafe opened
        else { return nil }
        unsafe channel = opened
        self.notes = notes
        let servers = terms.servers.map(\.description).joined(separator: ",")
        if servers.isEmpty { return }
        guard unsafe ares_set_servers_ports_csv(channel, servers) == ARES_SUCCESS else {
            return nil
        }
    }

    deinit {
        // Its callbacks note things: what they note in has to be there.
        withExtendedLifetime(notes) { unsafe ares_destroy(channel) }
    }

    /// Search domains count unless the name ends with a dot. May have failed by the time it
    /// returns, as `take` will tell.
    func ask(_ question: NameLookup.Question) {
        let asked = unsafe Unmanaged.passRetained(Asked(question, notes)).toOpaque()
        unsafe ares_search(
            channel, question.name, Self.classInternet, Int32(question.type.rawValue), answered,
            asked)
    }

    func owns(_ descriptor: Int32) -> Bool { notes.sockets.contains(descriptor) }

    func became(_ descriptor: Int32, readable: Bool, writable: Bool) {
        unsafe ares_process_fd(
            channel, readable ? descriptor : ARES_SOCKET_BAD,
            writable ? descriptor : ARES_SOCKET_BAD)
    }

    /// Nanoseconds from now until `expire` is due; nil is never.
    var left: Int64? {
        var time = timeval()
        guard unsafe ares_timeout(channel, nil, &time) != nil else { return nil }
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_usec) * 1_000
    }

    func expire() { unsafe ares_process_fd(channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD) }

    /// What has come since.
    func take() -> [(question: NameLookup.Question, reply: NameLookup.Reply)] {
        defer { notes.replies = [] }
        return notes.replies
    }

    /// - status: as c-ares has it. - bytes: the whole message, where there is one.
    fileprivate static func reply(_ status: Int32, _ bytes: [UInt8]) -> NameLookup.Reply {
        switch status {
        case ARES_SUCCESS: break
        case ARES_ENODATA: return .noData
        case ARES_ENOTFOUND: return .noName
        case ARES_ECONNREFUSED, ARES_ESERVFAIL:
            return .failed("no DNS server gives an answer")
        case ARES_ETIMEOUT: return .failed("no DNS server answers in time")
        default: return .failed(unsafe String(cString: ares_strerror(status)))
        }
        do throws(DNSMessage.ParseError) {
            return .message(try DNSMessage(parsing: bytes))
        } catch {
            return .failed("the answer cannot be read: \(error)")
        }
    }
}

/// Sockets of DNS channels, behind one descriptor that the control thread polls.
final class NamePoll {
    private static let eventsMax = 64

    let descriptor = epoll_create1(Int32(EPOLL_CLOEXEC))

    deinit { close(descriptor) }

    fileprivate func watch(_ socket: Int32, readable: Bool, writable: Bool, isNew: Bool) {
        let interest = (readable ? EPOLLIN.rawValue : 0) | (writable ? EPOLLOUT.rawValue : 0)
        var event = unsafe epoll_event(events: interest, data: .init(fd: socket))
        let operation = isNew ? EPOLL_CTL_ADD : EPOLL_CTL_MOD
        unsafe _ = epoll_ctl(descriptor, operation, socket, &event)
    }

    fileprivate func forget(_ socket: Int32) {
        _ = epoll_ctl(descriptor, EPOLL_CTL_DEL, socket, nil)
    }

    /// Those that are ready now, and for what.
    func ready() -> [(socket: Int32, readable: Bool, writable: Bool)] {
        var events = unsafe [epoll_event](repeating: epoll_event(), count: Self.eventsMax)
        let count = unsafe epoll_wait(descriptor, &events, Int32(Self.eventsMax), 0)
        let others = EPOLLERR.rawValue | EPOLLHUP.rawValue
        var ready: [(socket: Int32, readable: Bool, writable: Bool)] = []
        for index in 0..<Int(max(count, 0)) {
            let bits = unsafe events[index].events
            let socket = unsafe events[index].data.fd
            ready.append(
                (
                    socket, bits & (EPOLLIN.rawValue | others) != 0,
                    bits & (EPOLLOUT.rawValue | others) != 0
                ))
        }
        return ready
    }
}

/// c-ares wants a socket watched, or no longer.
private let socketChanged: ares_sock_state_cb = { context, socket, readable, writable in
    guard let context = unsafe context else { return }
    unsafe Unmanaged<NameChannel.Notes>.fromOpaque(context)._withUnsafeGuaranteedRef { notes in
        guard readable != 0 || writable != 0 else {
            notes.sockets.remove(socket)
            return notes.poll.forget(socket)
        }
        let isNew = notes.sockets.insert(socket).inserted
        notes.poll.watch(socket, readable: readable != 0, writable: writable != 0, isNew: isNew)
    }
}

/// A question has its answer, or never will.
private let answered: ares_callback = { context, status, _, bytes, count in
    guard let context = unsafe context else { return }
    let asked = unsafe Unmanaged<NameChannel.Asked>.fromOpaque(context).takeRetainedValue()
    var message: [UInt8] = []
    if let bytes = unsafe bytes, count > 0 {
        message = unsafe Array(UnsafeBufferPointer(start: bytes, count: Int(count)))
    }
    let reply = NameChannel.reply(status, message)
    asked.notes.replies.append((asked.question, reply))
}
