// How the command line writes files.

internal import Glibc

/// A file that was not there before.
enum NewFile {
    /// Writes it whole; gives why that failed. A file that exists is left alone, and so is a
    /// symbolic link.
    static func write(_ text: String, to path: String) -> String? {
        let descriptor = unsafe open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else {
            return errno == EEXIST ? "exists, and is left as it is" : failure()
        }
        let isWritten = Output(descriptor: descriptor).write(text)
        let words = isWritten ? nil : failure()
        close(descriptor)
        if !isWritten { unsafe _ = unlink(path) }
        return words
    }

    private static func failure() -> String { unsafe String(cString: strerror(errno)) }

    /// `path`, as a new file at `other` is to name it: as it is where both are in this folder.
    static func path(_ path: String, from other: String) -> String {
        if path.hasPrefix("/") || !other.contains("/") { return path }
        var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
        guard unsafe getcwd(&buffer, buffer.count) != nil else { return path }
        let bytes = buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
        return String(decoding: bytes, as: UTF8.self) + "/" + path
    }
}
