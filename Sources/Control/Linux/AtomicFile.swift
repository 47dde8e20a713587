internal import Glibc

/// Files that are there whole or not at all.
public enum AtomicFile {
    public enum Access: Sendable {
        /// For their owner alone.
        case secret
        /// For everybody to read.
        case open

        fileprivate var mode: mode_t { self == .secret ? 0o600 : 0o644 }
    }

    public struct Failure: Error, Equatable, CustomStringConvertible {
        public let path: String
        public let words: String
        /// It is not there.
        public let isMissing: Bool

        public var description: String { "\(path): \(words)" }
    }

    /// Puts a file in the place of what is at `path`: written beside it, brought to the disk and
    /// renamed, so that a reader finds the old one or the new one. A symbolic link stays, and what
    /// it leads to is replaced.
    public static func write(
        _ bytes: [UInt8], to path: String, _ access: Access
    ) throws(Failure) {
        let target = resolved(path)
        let directory = Self.directory(of: target)
        let suffix = UInt64.random(in: .min ... .max)
        let temporary = "\(directory)/.weir-\(String(suffix, radix: 36)).tmp"
        let flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW
        let descriptor = unsafe open(temporary, flags, 0o600)
        guard descriptor >= 0 else { throw failure(path) }
        // The mode is what it should be whatever the umask.
        guard writeAll(bytes, to: descriptor), fchmod(descriptor, access.mode) == 0,
            fsync(descriptor) == 0
        else {
            let failure = failure(path)
            close(descriptor)
            unsafe unlink(temporary)
            throw failure
        }
        close(descriptor)
        guard unsafe rename(temporary, target) == 0 else {
            let failure = failure(path)
            unsafe unlink(temporary)
            throw failure
        }
        sync(directory)
    }

    /// A file's bytes, at most so many.
    public static func read(_ path: String, bytesMax: Int = 16 << 20) throws(Failure) -> [UInt8] {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure(path) }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while bytes.count <= bytesMax {
            let count = unsafe Glibc.read(descriptor, &buffer, buffer.count)
            if count == 0 { return bytes }
            if count > 0 {
                bytes += buffer[..<count]
            } else if errno != EINTR {
                throw failure(path)
            }
        }
        throw Failure(path: path, words: "more than \(bytesMax) bytes", isMissing: false)
    }

    /// A new directory for its owner alone.
    public static func makeDirectory(_ path: String) throws(Failure) {
        guard unsafe mkdir(path, 0o700) == 0 else { throw failure(path) }
    }

    public static func remove(_ path: String) throws(Failure) {
        guard unsafe unlink(path) == 0 else { throw failure(path) }
    }

    public static func exists(_ path: String) -> Bool { unsafe access(path, F_OK) == 0 }

    /// Seconds since 1970.
    public static func secondsNow() -> Int64 { Int64(time(nil)) }

    /// Where a symbolic link leads, or the path itself.
    private static func resolved(_ path: String) -> String {
        guard let real = unsafe realpath(path, nil) else { return path }
        defer { unsafe free(real) }
        return unsafe String(cString: real)
    }

    private static func directory(of path: String) -> String {
        guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    private static func writeAll(_ bytes: [UInt8], to descriptor: Int32) -> Bool {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = unsafe rest.withUnsafeBytes {
                unsafe Glibc.write(descriptor, $0.baseAddress, $0.count)
            }
            if count < 0 && errno != EINTR { return false }
            rest = rest.dropFirst(max(count, 0))
        }
        return true
    }

    /// The rename itself; some file systems know no such thing.
    private static func sync(_ directory: String) {
        let descriptor = unsafe open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        fsync(descriptor)
        close(descriptor)
    }

    fileprivate static func failure(_ path: String) -> Failure {
        let code = errno
        let words = unsafe strerror(code).map { unsafe String(cString: $0) } ?? "error \(code)"
        return Failure(path: path, words: words, isMissing: code == ENOENT)
    }
}

/// Keeps other processes out of a directory's files for as long as it lives.
public final class DirectoryLock {
    private let descriptor: Int32

    /// Waits for who has it.
    public init(directory: String) throws(AtomicFile.Failure) {
        let path = "\(directory)/lock"
        descriptor = unsafe open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw AtomicFile.failure(path) }
        while flock(descriptor, LOCK_EX) != 0 {
            guard errno == EINTR else {
                let failure = AtomicFile.failure(path)
                close(descriptor)
                throw failure
            }
        }
    }

    deinit { close(descriptor) }
}
