// What the command line asks of the system.

internal import Glibc

/// A file that is open for writing.
struct Output {
    let descriptor: Int32

    /// Writes everything; false where the system refuses.
    @discardableResult
    func write(_ text: String) -> Bool {
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let written = unsafe bytes.withUnsafeBytes {
                unsafe Glibc.write(descriptor, $0.baseAddress, $0.count)
            }
            if written < 0 && errno != EINTR { return false }
            bytes = bytes.dropFirst(max(written, 0))
        }
        return true
    }
}

/// Lines for people, apart from a command's result.
enum StandardError {
    static func write(_ text: String) { Output(descriptor: 2).write(text) }
}

/// Lines that are to be seen at once, whatever standard output is.
enum StandardOutput {
    static func write(_ text: String) { Output(descriptor: 1).write(text) }
}

/// The process's environment.
enum Environment {
    static var variables: [String: String] {
        var variables: [String: String] = [:]
        var entry = unsafe environ
        while let text = unsafe entry.pointee {
            let pair = unsafe String(cString: text)
            unsafe entry += 1
            guard let equals = pair.utf8.firstIndex(of: 0x3d) else { continue }
            variables[String(pair[..<equals])] = String(pair[pair.utf8.index(after: equals)...])
        }
        return variables
    }
}
