/// The answer to a question over HTTP/1.1 whose connection ends with it: a status and a body.
struct HTTPAnswer: Equatable, Sendable {
    let status: Int
    let body: [UInt8]

    /// Nil for what is no whole answer. Interim answers (1xx) before it are passed over.
    init?(parsing bytes: [UInt8]) {
        var rest = bytes[...]
        while let end = rest.firstRange(of: Array("\r\n\r\n".utf8)) {
            guard let status = Self.status(of: rest[..<end.lowerBound]) else { return nil }
            rest = rest[end.upperBound...]
            if status >= 200 {
                self.status = status
                body = Array(rest)
                return
            }
        }
        return nil
    }

    /// The first line of the body, for people.
    var words: String {
        String(decoding: body.prefix { $0 != UInt8(ascii: "\n") }.prefix(300), as: UTF8.self)
    }

    /// `HTTP/1.1 200 OK` and fields.
    private static func status(of head: ArraySlice<UInt8>) -> Int? {
        let digits = head.dropFirst("HTTP/1.1 ".utf8.count).prefix(3)
        guard head.starts(with: "HTTP/1.".utf8), digits.count == 3,
            let status = Int(String(decoding: digits, as: UTF8.self)), (100...599).contains(status)
        else { return nil }
        return status
    }
}
