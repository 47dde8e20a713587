extension SocketAddress: CustomStringConvertible {
    /// Why a text is no socket address.
    public struct ParseError: Error, Equatable, CustomStringConvertible {
        public let text: String
        /// What was expected, as the end of a sentence.
        public let expected: String

        public var description: String { "\"\(text)\" is no address: expected \(expected)" }
    }

    /// Reads one of the text forms. Names are not resolved: only numbers are addresses.
    public init(parsing text: String) throws(ParseError) {
        if text.hasPrefix("unix:") {
            self = try Self.unix(in: text)
            return
        }
        guard let colon = text.utf8.lastIndex(of: UInt8(ascii: ":")) else {
            throw ParseError(
                text: text, expected: "a port after a colon, as in 127.0.0.1:8080 or [::1]:8080")
        }
        let host = Array(text.utf8[..<colon])
        let port = try Self.port(Array(text.utf8[colon...].dropFirst()), in: text)
        if host.first == UInt8(ascii: "["), host.last == UInt8(ascii: "]") {
            guard let halves = IPText.ipv6(host.span.extracting(1..<(host.count - 1))) else {
                throw ParseError(text: text, expected: "an IPv6 address between [ and ]")
            }
            self = .ipv6(high: halves.high, low: halves.low, port: port)
        } else if let address = IPText.ipv4(host.span) {
            self = .ipv4(address: address, port: port)
        } else if host.contains(UInt8(ascii: ":")) {
            throw ParseError(
                text: text, expected: "brackets around an IPv6 address, as in [::1]:8080")
        } else {
            throw ParseError(
                text: text,
                expected: "an IP address before the port, as in 127.0.0.1:8080, not a name")
        }
    }

    /// The text form that `init(parsing:)` reads back.
    public var description: String {
        switch self {
        case .ipv4(let address, let port): "\(IPText.describe(address)):\(port)"
        case .ipv6(let high, let low, let port):
            "[\(IPText.describe(high: high, low: low))]:\(port)"
        case .unix(let path): "unix:\(path)"
        }
    }

    /// True if only this machine can reach it: 127.0.0.0/8, ::1, the former mapped into IPv6, and
    /// unix sockets.
    public var isLoopback: Bool {
        switch self {
        case .ipv4(let address, _): address >> 24 == 127
        case .ipv6(let high, let low, _): high == 0 && (low == 1 || low >> 24 == 0xffff_7f)
        case .unix: true
        }
    }

    /// `sun_path` of Linux has 108 bytes, of which a file's name leaves one to a NUL.
    private static let pathBytesMax = 107

    private static func unix(in text: String) throws(ParseError) -> Self {
        let path = String(text.dropFirst("unix:".count))
        let bytes = path.utf8.count
        if bytes == 0 || path == "@" {
            throw ParseError(text: text, expected: "a path or @name after unix:")
        }
        if bytes > pathBytesMax {
            throw ParseError(
                text: text, expected: "at most \(pathBytesMax) bytes after unix:, not \(bytes)")
        }
        if path.utf8.contains(0) { throw ParseError(text: text, expected: "no NUL in a path") }
        return .unix(path: path)
    }

    private static func port(_ digits: [UInt8], in text: String) throws(ParseError) -> UInt16 {
        let hasLeadingZero = digits.count > 1 && digits.first == UInt8(ascii: "0")
        guard !hasLeadingZero, digits.count <= 5, let number = Decimal.parse(digits.span),
            let port = UInt16(exactly: number)
        else {
            throw ParseError(text: text, expected: "a port from 0 to 65535 after the last colon")
        }
        return port
    }
}
