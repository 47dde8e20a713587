// Files that the command line reads and writes.

internal import Glibc

/// One file by its path.
struct File {
    enum Failure: Error {
        case system(String)
        case tooLarge(Int)
        /// Others may read it.
        case exposed

        var words: String {
            switch self {
            case .system(let words): words
            case .tooLarge(let limit): "more than \(limit) bytes"
            case .exposed: "others may read it; chmod 600"
            }
        }

        static var last: Failure {
            let code = errno
            guard let text = unsafe strerror(code) else { return .system("error \(code)") }
            return .system(unsafe String(cString: text))
        }
    }

    let path: String

    init(_ path: String) { self.path = path }

    var exists: Bool {
        var status = stat()
        return unsafe stat(path, &status) == 0
    }

    /// All of it; `-` is standard input.
    ///
    /// - isSecret: a file that others may read is refused.
    func read(limit: Int, isSecret: Bool = false) throws(Failure) -> [UInt8] {
        let isInput = path == "-"
        let descriptor = isInput ? 0 : unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw .last }
        defer { if !isInput { close(descriptor) } }
        if isSecret, !isInput {
            var status = stat()
            guard unsafe fstat(descriptor, &status) == 0 else { throw .last }
            guard status.st_mode & S_IROTH == 0 else { throw .exposed }
        }
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while true {
            let count = unsafe buffer.withUnsafeMutableBytes {
                unsafe Glibc.read(descriptor, $0.baseAddress, $0.count)
            }
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw .last }
            if count == 0 { return bytes }
            bytes += buffer.prefix(count)
            guard bytes.count <= limit else { throw .tooLarge(limit) }
        }
    }

    /// Replaces it as a whole: whoever reads it sees the old bytes or the new, also after a crash.
    ///
    /// - isSecret: its owner alone may read it.
    func replace(with bytes: [UInt8], isSecret: Bool) throws(Failure) {
        let temporary = "\(path).\(getpid()).new"
        let flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW
        let descriptor = unsafe open(temporary, flags, isSecret ? 0o600 : 0o644)
        guard descriptor >= 0 else { throw .last }
        do throws(Failure) {
            defer { close(descriptor) }
            try Self.write(bytes, to: descriptor)
            guard fsync(descriptor) == 0 else { throw .last }
        } catch {
            unsafe unlink(temporary)
            throw error
        }
        guard unsafe rename(temporary, path) == 0 else {
            let failure = Failure.last
            unsafe unlink(temporary)
            throw failure
        }
        syncFolder()
    }

    private static func write(_ bytes: [UInt8], to descriptor: Int32) throws(Failure) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = unsafe rest.withUnsafeBytes {
                unsafe Glibc.write(descriptor, $0.baseAddress, $0.count)
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw .last }
            rest = rest.dropFirst(count)
        }
    }

    /// The new name is in the folder's own blocks.
    private func syncFolder() {
        let end = path.utf8.lastIndex(of: UInt8(ascii: "/"))
        let folder = end.map { String(path[...$0]) } ?? "."
        let descriptor = unsafe open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0 else { return }
        fsync(descriptor)
        close(descriptor)
    }
}

/// A folder that one process at a time changes.
struct Folder {
    let path: String

    func file(_ name: String) -> File {
        File(path.hasSuffix("/") ? path + name : "\(path)/\(name)")
    }

    /// Makes it, for its owner alone, if it is not there.
    func make() throws(File.Failure) {
        guard unsafe mkdir(path, 0o700) == 0 || errno == EEXIST else { throw .last }
    }

    /// Does `work` while nobody else does anything in it.
    func locked<Result>(
        _ work: () throws(File.Failure) -> Result
    ) throws(File.Failure) -> Result {
        let lock = file(".lock")
        let descriptor = unsafe open(lock.path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o600)
        guard descriptor >= 0 else { throw .last }
        defer { close(descriptor) }
        while flock(descriptor, LOCK_EX) != 0 {
            guard errno == EINTR else { throw .last }
        }
        return try work()
    }
}

/// The time that tokens are dated with.
enum WallClock {
    /// Seconds since 1970.
    static var seconds: Int64 { Int64(time(nil)) }
}
