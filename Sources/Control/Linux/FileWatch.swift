internal import CLinux
internal import Glibc

/// Watches the files that a configuration was read from.
///
/// inotify on their directories, and on those of the files behind symbolic links, only says that it
/// is time to look; whether anything changed is decided by comparing what `stat` says of every
/// file. So symlink swaps (as Kubernetes updates volumes), replaced directories and file systems
/// without events (NFS, overlays: found by looking every 5 s) are all the same case, and what else
/// happens in those directories is none.
final class FileWatch {
    private struct Mark: Equatable {
        var device: UInt64 = 0
        var inode: UInt64 = 0
        var size: Int64 = 0
        var modified: Int64 = 0
        /// Nanoseconds since 1970, as `modified`; not compared, as reading may be what changed it.
        var changed: Int64 = 0

        /// Differs from that of every file.
        static let unknown = Mark(inode: .max)

        static func == (one: Mark, other: Mark) -> Bool {
            one.device == other.device && one.inode == other.inode && one.size == other.size
                && one.modified == other.modified
        }
    }

    /// What a file system's clock may be behind the process's.
    private static let clockNanoseconds: Int64 = 50_000_000
    private static let readsMax = 8

    let descriptor = inotify_init1(Int32(IN_CLOEXEC) | Int32(IN_NONBLOCK))
    private var marks: [String: Mark] = [:]
    private var watched: [Int32] = []

    deinit { close(descriptor) }

    /// Watches these files and no others from now on. They were read after `began`, nanoseconds
    /// since 1970: a file that was known before keeps what was last seen of it, so that a change
    /// while it was read is found later; so is one of a file that is new.
    func watch(_ files: [String], readSince began: Int64) {
        var next: [String: Mark] = [:]
        for file in files {
            let mark = Self.mark(file)
            let isNewer = mark.changed >= began - Self.clockNanoseconds
            next[file] = marks[file] ?? (isNewer ? .unknown : mark)
        }
        marks = next
        // Adding again is how a directory that took another's place is found: the same directory
        // keeps its number.
        var current: [Int32] = []
        for directory in Set(files.flatMap(Self.directories)) {
            let events = UInt32(
                IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE | IN_MODIFY)
            let watch = unsafe inotify_add_watch(descriptor, directory, events)
            if watch >= 0 { current.append(watch) }
        }
        for watch in watched where !current.contains(watch) { inotify_rm_watch(descriptor, watch) }
        watched = current
    }

    /// Forgets the events that came, which have done their part by waking the thread: so many at a
    /// time, as a file in a watched directory may be written faster than they are read.
    func silence() {
        var buffer = [UInt8](repeating: 0, count: 16_384)
        for _ in 0..<Self.readsMax {
            guard unsafe read(descriptor, &buffer, buffer.count) > 0 else { return }
        }
    }

    /// True where a file is not what it was at the last look.
    func hasMoved() -> Bool {
        var moved = false
        for (file, mark) in marks {
            let now = Self.mark(file)
            if now == mark { continue }
            marks[file] = now
            moved = true
        }
        return moved
    }

    private static func mark(_ path: String) -> Mark {
        var status = stat()
        guard unsafe stat(path, &status) == 0 else { return Mark() }
        return Mark(
            device: UInt64(status.st_dev), inode: UInt64(status.st_ino),
            size: Int64(status.st_size), modified: nanoseconds(status.st_mtim),
            changed: nanoseconds(status.st_ctim))
    }

    private static func nanoseconds(_ time: timespec) -> Int64 {
        Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec)
    }

    /// The directory that names the file, and the one that it really lives in.
    private static func directories(of path: String) -> [String] {
        var directories = [parent(path)]
        if let resolved = unsafe realpath(path, nil) {
            directories.append(parent(unsafe String(cString: resolved)))
            unsafe free(resolved)
        }
        var status = stat()
        if unsafe stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR {
            directories.append(path)
        }
        return directories
    }

    private static func parent(_ path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }
}
