import Glibc
import Testing

/// A folder of its own for one test; it goes with all that was made in it.
final class LinuxFolder {
    let path: String
    private var made: [String] = []

    init() throws {
        var name = Array("/tmp/weir-test-XXXXXX".utf8CString)
        let isMade = unsafe mkdtemp(&name) != nil
        try #require(isMade)
        path = String(decoding: name.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    deinit {
        for path in made.reversed() { unsafe _ = remove(path) }
        unsafe _ = rmdir(path)
    }

    /// The name's whole path; noted, so that it is removed.
    func at(_ name: String) -> String {
        let whole = "\(path)/\(name)"
        made.append(whole)
        return whole
    }

    @discardableResult
    func write(_ name: String, _ text: String) -> String {
        let path = at(name)
        guard let file = unsafe fopen(path, "w") else {
            Issue.record("cannot write \(path)")
            return path
        }
        unsafe _ = fputs(text, file)
        unsafe _ = fclose(file)
        return path
    }

    @discardableResult
    func makeFolder(_ name: String) -> String {
        let path = at(name)
        check(unsafe mkdir(path, 0o700), "make \(path)")
        return path
    }

    @discardableResult
    func link(_ name: String, to target: String) -> String {
        let path = at(name)
        check(unsafe symlink(target, path), "link \(path)")
        return path
    }

    func rename(_ name: String, to other: String) {
        check(unsafe Glibc.rename(at(name), at(other)), "rename \(name)")
    }

    func delete(_ name: String) { check(unsafe unlink(at(name)), "delete \(name)") }

    func exists(_ name: String) -> Bool { unsafe access("\(path)/\(name)", F_OK) == 0 }

    private func check(_ result: Int32, _ what: String) {
        if result != 0 { Issue.record("cannot \(what): errno \(errno)") }
    }
}
