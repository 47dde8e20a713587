internal import CLinux
internal import Glibc

/// How much memory the process may have: the machine's, and its cgroups' limit where that is less.
enum MemoryLimit {
    static var available: UInt64 {
        let pages = UInt64(clamping: sysconf(Int32(_SC_PHYS_PAGES)))
        let machine = pages * UInt64(clamping: sysconf(Int32(_SC_PAGESIZE)))
        let folders = Processors.folders(of: Processors.text("/proc/self/cgroup"))
        let limits = folders.compactMap { limit(Processors.text($0 + "/memory.max")) }
        return limits.reduce(machine, min)
    }

    /// Bytes by cgroup v2's `memory.max`, which may say "max".
    static func limit(_ text: String) -> UInt64? {
        let words = text.split { $0 == " " || $0 == "\n" }
        guard words.count == 1, let bytes = UInt64(words[0]), bytes > 0 else { return nil }
        return bytes
    }
}
