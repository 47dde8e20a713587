internal import CLinux
internal import Configuration
internal import Glibc
internal import Proxy

/// Where the access log's lines go: a file, a FIFO or a standard stream. Never waits.
final class LogFile {
    enum Written { case some, blocked, failed(errno: Int32) }

    /// Less than a pipe takes without blocking once `poll` says that it takes anything (pipe(7)).
    private static let streamPortion = 4_096
    private static let mode: mode_t = 0o640

    let target: AccessLogTerms.Target
    private(set) var descriptor: Int32 = -1
    private var isRegular = false
    private var isOwn: Bool { if case .file = target { true } else { false } }

    init(_ target: AccessLogTerms.Target) { self.target = target }

    deinit { close() }

    var isOpen: Bool { descriptor >= 0 }

    /// Opens it, or opens it anew; gives the errno where that failed, and then it is closed.
    func open() -> Int32? {
        close()
        switch target {
        case .standardOutput: descriptor = 1
        case .standardError: descriptor = 2
        case .file(let path):
            let flags = O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY
            descriptor = unsafe Glibc.open(path, flags, Self.mode)
            if descriptor < 0 { return errno }
        }
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0 else {
            let failure = errno
            close()
            return failure
        }
        isRegular = status.st_mode & S_IFMT == S_IFREG
        return nil
    }

    func close() {
        if isOpen, isOwn { Glibc.close(descriptor) }
        descriptor = -1
    }

    /// The file has no name any more: what is written to it is lost.
    var isDeleted: Bool {
        guard isOpen, isRegular, isOwn else { return false }
        var status = stat()
        return unsafe fstat(descriptor, &status) == 0 && status.st_nlink == 0
    }

    /// Writes as much as the file takes now.
    func write(_ buffer: LineBuffer) -> Written {
        while buffer.count > 0 {
            if !isRegular, !isWritable { return .blocked }
            var failure: Int32 = 0
            unsafe buffer.drain { bytes in
                let portion = isRegular ? bytes.count : min(bytes.count, Self.streamPortion)
                let written = unsafe Glibc.write(descriptor, bytes.baseAddress, portion)
                if written < 0 { failure = errno }
                return max(written, 0)
            }
            switch failure {
            case 0, EINTR: continue
            case EAGAIN: return .blocked
            default: return .failed(errno: failure)
            }
        }
        return .some
    }

    /// A standard stream is shared with others and is not made non-blocking for them.
    private var isWritable: Bool {
        var entry = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        return unsafe poll(&entry, 1, 0) == 1
    }

    static func isLackOfRoom(_ errno: Int32) -> Bool { errno == ENOSPC || errno == EDQUOT }

    static func words(_ errno: Int32) -> String {
        errno == ENXIO ? "nobody reads the FIFO" : unsafe String(cString: strerror(errno))
    }
}
