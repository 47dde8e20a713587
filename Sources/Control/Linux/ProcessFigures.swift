internal import CLinux
internal import Glibc

/// What the kernel says of this process.
enum ProcessFigures {
    static var residentBytes: UInt64 { pages().resident * pageBytes }

    /// Without what lies in files as well.
    static var anonymousBytes: UInt64 {
        let pages = pages()
        return pages.resident > pages.shared ? (pages.resident - pages.shared) * pageBytes : 0
    }

    private static var pageBytes: UInt64 { UInt64(clamping: sysconf(Int32(_SC_PAGESIZE))) }

    private static func pages() -> (resident: UInt64, shared: UInt64) {
        let fields = text("/proc/self/statm").split(separator: " ")
        guard fields.count > 2 else { return (0, 0) }
        return (UInt64(fields[1]) ?? 0, UInt64(fields[2]) ?? 0)
    }

    /// Pages that malloc holds and nobody uses. Whoever allocates meanwhile waits.
    static func giveFreeMemoryBack() { _ = malloc_trim(0) }

    static var openDescriptors: UInt64 {
        guard let directory = unsafe opendir("/proc/self/fd") else { return 0 }
        defer { unsafe _ = closedir(directory) }
        var count: UInt64 = 0
        while unsafe readdir(directory) != nil { count += 1 }
        // `.`, `..` and the directory itself.
        return count > 3 ? count - 3 : 0
    }

    static var cpuNanoseconds: UInt64 {
        var time = timespec()
        unsafe clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return UInt64(clamping: time.tv_sec) &* 1_000_000_000 &+ UInt64(clamping: time.tv_nsec)
    }

    private static func text(_ path: String) -> String {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return "" }
        defer { close(descriptor) }
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: 512) { buffer, count in
            count = max(0, unsafe read(descriptor, buffer.baseAddress, 512))
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
