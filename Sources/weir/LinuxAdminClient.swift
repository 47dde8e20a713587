// How the command line asks a running Weir.

internal import Glibc
internal import Proxy
internal import Wire

/// Pages of an administration interface, over HTTP/1.0 on its unix socket.
enum AdminClient {
    struct Failure: Error {
        let words: String
    }

    private static let bytesMax = 64 << 20
    private static let timeoutSeconds = 10

    /// A socket's path, with `unix:` in front or without.
    static func path(_ text: String) -> String {
        text.hasPrefix("unix:") ? String(text.dropFirst("unix:".count)) : text
    }

    /// The body of a page; throws where nobody answers, or with anything but 200.
    static func get(_ page: String, socket path: String) throws(Failure) -> String {
        try body(of: try ask("GET \(page) HTTP/1.0\r\nHost: weir\r\n\r\n", path))
    }

    static func post(
        _ page: String, _ content: [UInt8], socket path: String
    ) throws(Failure) -> String {
        let head = "POST \(page) HTTP/1.0\r\nHost: weir\r\nContent-Length: \(content.count)\r\n\r\n"
        return try body(of: try ask(head + String(decoding: content, as: UTF8.self), path))
    }

    private static func body(of answer: String) throws(Failure) -> String {
        guard let end = answer.firstRange(of: "\r\n\r\n") else {
            throw Failure(words: "the answer is not HTTP")
        }
        let body = String(answer[end.upperBound...])
        let status = answer.split(separator: " ", maxSplits: 2).dropFirst().first ?? ""
        guard status == "200" else {
            throw Failure(words: "\(status): \(body.split(separator: "\n").first ?? "")")
        }
        return body
    }

    private static func ask(_ request: String, _ path: String) throws(Failure) -> String {
        let flags = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
        let descriptor = socket(AF_UNIX, flags, 0)
        guard descriptor >= 0 else { throw failure() }
        defer { close(descriptor) }
        var timeout = timeval(tv_sec: timeoutSeconds, tv_usec: 0)
        let size = socklen_t(MemoryLayout<timeval>.size)
        unsafe _ = setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, size)
        let address = SocketAddress.unix(path: path)
        let connected = unsafe address.withSockAddr { unsafe connect(descriptor, $0, $1) }
        guard connected == 0 else { throw failure() }
        guard Output(descriptor: descriptor).write(request) else { throw failure() }
        return try readAll(descriptor)
    }

    private static func readAll(_ descriptor: Int32) throws(Failure) -> String {
        var bytes: [UInt8] = []
        var buffer = [UInt8](repeating: 0, count: 65_536)
        while bytes.count < bytesMax {
            let count = unsafe read(descriptor, &buffer, buffer.count)
            if count == 0 { break }
            guard count > 0 else { throw failure() }
            bytes += buffer[..<count]
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func failure() -> Failure {
        Failure(words: unsafe String(cString: strerror(errno)))
    }
}
