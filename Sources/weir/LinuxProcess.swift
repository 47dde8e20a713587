// What the command line asks of the system: the only file of this target with unsafe code.

internal import Glibc

/// Lines for people, apart from a command's result.
enum StandardError {
    static func write(_ text: String) {
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let written = unsafe bytes.withUnsafeBytes {
                unsafe Glibc.write(2, $0.baseAddress, $0.count)
            }
            if written < 0 && errno != EINTR { return }
            bytes = bytes.dropFirst(max(written, 0))
        }
    }
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
