internal import CLinux
internal import Glibc

/// Watches the files that a configuration was read from.
///
/// inotify on their directories, and on those of the files behind symbolic links, only says that it
/// is time to look; whether anything changed is decided by comparing what `stat` says of every
/// file. So symlink swaps (as Kubernetes updates volumes), replaced directories and file systems
/// without events (NFS, overlays: found by looking every 5 s) are all the same case.
final class FileWatch {
    private struct Mark: Equatable {
        var device: UInt64
        var inode: UInt64
        var size: Int64
        var seconds: Int
        var nanoseconds: Int
    }

    let descriptor = inotify_init1(Int32(IN_CLOEXEC) | Int32(IN_NONBLOCK))
    private var files: [String] = []
    private var marks: [Mark?] = []
    private var watched: [String: Int32] = [:]

    deinit { close(descriptor) }

    /// Watches these files and no others from now on.
    func watch(_ files: [String]) {
        self.files = files
        marks = files.map(Self.mark)
        let directories = Set(files.flatMap(Self.directories))
        for (directory, watch) in watched where !directories.contains(directory) {
            inotify_rm_watch(descriptor, watch)
            watched[directory] = nil
        }
        for directory in directories where watched[directory] == nil {
            let events = UInt32(
                IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_CREATE | IN_DELETE | IN_MODIFY)
            let watch = unsafe inotify_add_watch(descriptor, directory, events)
            if watch >= 0 { watched[directory] = watch }
        }
    }

    /// True where something happened in a watched directory since the last call.
    func hasEvents() -> Bool {
        var buffer = [UInt8](repeating: 0, count: 16_384)
        var any = false
        while unsafe read(descriptor, &buffer, buffer.count) > 0 { any = true }
        return any
    }

    /// True where a file is not what it was at `watch`.
    func hasChanged() -> Bool { files.map(Self.mark) != marks }

    private static func mark(_ path: String) -> Mark? {
        var status = stat()
        guard unsafe stat(path, &status) == 0 else { return nil }
        return Mark(
            device: UInt64(status.st_dev), inode: UInt64(status.st_ino),
            size: Int64(status.st_size), seconds: status.st_mtim.tv_sec,
            nanoseconds: status.st_mtim.tv_nsec)
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
