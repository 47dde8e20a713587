// What `weir demo` asks of the system: a folder of its own and a free port.

internal import Glibc

/// A new folder for temporary files that only this user may enter.
struct TemporaryFolder: Sendable {
    let path: String

    /// Nil where the system has no room for it. `name` begins the folder's.
    init?(name: String) {
        let parent = Environment.variables["TMPDIR"] ?? ""
        var template = Array("\(parent.isEmpty ? "/tmp" : parent)/\(name)-XXXXXX\0".utf8CString)
        guard unsafe mkdtemp(&template) != nil else { return nil }
        path = String(
            decoding: template.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    /// Puts a whole file in the place of the one that has the name, at once: no reader ever sees
    /// half of it. False where the system refuses; the old one then stays.
    func replace(_ name: String, with text: String) -> Bool {
        let next = "\(path)/.\(name).next"
        let flags = O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC
        let descriptor = unsafe open(next, flags, 0o600)
        guard descriptor >= 0 else { return false }
        let isWritten = Output(descriptor: descriptor).write(text)
        close(descriptor)
        guard isWritten else { return false }
        return unsafe rename(next, "\(path)/\(name)") == 0
    }

    private static let attempts = 10

    /// Removes the folder and everything in it, also what another thread has just put there.
    func remove() {
        for _ in 0..<Self.attempts where Self.remove(path) { return }
    }

    private static func remove(_ folder: String) -> Bool {
        if let entries = unsafe opendir(folder) {
            while let entry = unsafe readdir(entries) {
                let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) {
                    unsafe $0.withMemoryRebound(to: CChar.self, capacity: 256) {
                        unsafe String(cString: $0)
                    }
                }
                if name == "." || name == ".." { continue }
                if unsafe Int(entry.pointee.d_type) == DT_DIR {
                    _ = remove("\(folder)/\(name)")
                } else {
                    unsafe _ = unlink("\(folder)/\(name)")
                }
            }
            unsafe _ = closedir(entries)
        }
        return unsafe rmdir(folder) == 0
    }
}

/// A TCP port of 127.0.0.1 that nothing listened on a moment ago; nil where there is none.
func freePort() -> UInt16? {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let found = unsafe withUnsafeMutablePointer(to: &address) {
        unsafe $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            unsafe bind(descriptor, $0, length) == 0 && getsockname(descriptor, $0, &length) == 0
        }
    }
    return found ? UInt16(bigEndian: address.sin_port) : nil
}
