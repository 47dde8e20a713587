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
}
