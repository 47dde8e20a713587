internal import CLinux
internal import Glibc

/// How many cores the process may use: its affinity, and its cgroup's quota where that is less.
public enum Processors {
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
        guard let quota = quota() else { return max(count, 1) }
        return max(1, min(count, quota))
    }

    /// cgroup v2's `cpu.max`: microseconds of a period, or "max".
    private static func quota() -> Int? {
        guard let file = unsafe fopen("/sys/fs/cgroup/cpu.max", "r") else { return nil }
        defer { unsafe _ = fclose(file) }
        var buffer = [CChar](repeating: 0, count: 64)
        guard unsafe fgets(&buffer, Int32(buffer.count), file) != nil else { return nil }
        let bytes = buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
        let words = String(decoding: bytes, as: UTF8.self).split { $0 == " " || $0 == "\n" }
        guard words.count == 2, let allowed = Int(words[0]), let period = Int(words[1]), period > 0
        else { return nil }
        return max(1, (allowed + period - 1) / period)
    }
}
