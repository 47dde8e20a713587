internal import CLinux
internal import Glibc

/// How many cores the process may use: its affinity, and its cgroups' quota where that is less.
public enum Processors {
    private static let groupsFolder = "/sys/fs/cgroup"
    private static let bytesMax = 4_096

    /// Who the process runs as.
    static var userID: UInt32 { geteuid() }

    public static var available: Int {
        var set = cpu_set_t()
        let size = MemoryLayout<cpu_set_t>.size
        var count = 1
        if unsafe sched_getaffinity(0, size, &set) == 0 {
            count = unsafe withUnsafeBytes(of: &set) { bytes in
                unsafe bytes.reduce(0) { $0 + $1.nonzeroBitCount }
            }
        }
        let quotas = folders(of: text("/proc/self/cgroup")).compactMap {
            quota(text($0 + "/cpu.max"))
        }
        return max(1, quotas.reduce(count, min))
    }

    /// The folders of the process's group and of all that it is in: a quota of any of them holds.
    /// In a container the group reads as the root.
    ///
    /// - membership: `/proc/self/cgroup`, where cgroup v2 has the line `0::/path`.
    static func folders(of membership: String) -> [String] {
        let line = membership.split(separator: "\n").first { $0.hasPrefix("0::/") }
        var folders = [groupsFolder]
        for name in line?.dropFirst(4).split(separator: "/") ?? [] {
            // A process that was moved out of its namespace has a path with `..`.
            if name == ".." { continue }
            folders.append(folders[folders.count - 1] + "/" + name)
        }
        return folders
    }

    /// Cores by cgroup v2's `cpu.max`: microseconds of a period, or "max". A part of a core counts
    /// as one.
    static func quota(_ text: String) -> Int? {
        let words = text.split { $0 == " " || $0 == "\n" }
        guard words.count == 2, let allowed = Int(words[0]), let period = Int(words[1]),
            allowed > 0, period > 0
        else { return nil }
        let (whole, rest) = allowed.quotientAndRemainder(dividingBy: period)
        return whole + (rest > 0 ? 1 : 0)
    }

    /// Whether a process is in the same control groups as this one, as those of one service are.
    static func areShared(with processID: Int32) -> Bool {
        let own = text("/proc/self/cgroup")
        return processID > 0 && !own.isEmpty && text("/proc/\(processID)/cgroup") == own
    }

    static func text(_ path: String) -> String {
        let descriptor = unsafe open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return "" }
        defer { close(descriptor) }
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: bytesMax) { buffer, count in
            count = max(0, unsafe read(descriptor, buffer.baseAddress, bytesMax))
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
