/// What a TCP load balancer says before the client's own bytes: whose connection it passes on ("The
/// PROXY protocol", versions 1 and 2, of HAProxy's documentation).
///
///     v1      PROXY TCP4 192.0.2.7 198.51.100.1 56324 443 CR LF
///     v2      12 bytes of signature, version and command, family and protocol, length;
///             addresses and ports; type-length-value fields
///
/// Ignored: where the client wanted to go, and all fields but a checksum, which must be right. All
/// else that is not as the specification has it is a fault, and named as soon as it can be seen.
public struct ProxyHeader: Equatable, Sendable {
    public enum Version: Sendable { case v1, v2 }

    /// The client. Nil where nobody is spoken for, so that the connection is its sender's own
    /// (LOCAL, as in health checks; UNKNOWN), and where the client has no address that another
    /// machine could make use of (unix sockets) or comes by another protocol than TCP.
    public let source: SocketAddress?
    /// Of the connection's first bytes, those that were the header.
    public let byteCount: Int

    /// A line of version 1, CR LF included.
    static let lineBytesMax = 107
    /// Of version 2 in all. Its own limit is 64 KiB; what is sent is some hundred bytes, and with a
    /// client's certificate some thousand.
    public static let byteCountMax = 8_192

    public enum Fault: Error, Equatable, Sendable {
        case missing
        case otherVersion(Version)
        case line, address, port
        case version, command, family, length
        case field, checksum
    }

    /// The header that `bytes` begin with; nil where it may still become one.
    public static func parse(
        _ bytes: Span<UInt8>, _ version: Version
    ) throws(Fault) -> ProxyHeader? {
        guard begins(bytes, with: version) else {
            let other: Version = version == .v1 ? .v2 : .v1
            // As much of it as shows that it is none by chance, and no more: what is wrong stays.
            let isOther = bytes.count >= 5 && begins(bytes.extracting(..<5), with: other)
            throw isOther ? .otherVersion(other) : .missing
        }
        return switch version {
        case .v1: try parseLine(bytes)
        case .v2: try parseBinary(bytes)
        }
    }

    private static let signature: [12 of UInt8] = [
        0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a,
    ]

    private static func begins(_ bytes: Span<UInt8>, with version: Version) -> Bool {
        switch version {
        case .v1:
            let word = "PROXY ".utf8
            return zip(word, 0..<bytes.count).allSatisfy { $0 == bytes[$1] }
        case .v2:
            return (0..<min(signature.count, bytes.count)).allSatisfy {
                bytes[$0] == signature[$0]
            }
        }
    }
}

// MARK: Version 1

extension ProxyHeader {
    private static func parseLine(_ bytes: Span<UInt8>) throws(Fault) -> ProxyHeader? {
        let limit = min(bytes.count, lineBytesMax)
        var end = 0
        while end + 1 < limit, bytes[end] != 0x0d || bytes[end + 1] != 0x0a { end += 1 }
        guard end + 1 < limit else {
            if limit == lineBytesMax { throw .line }
            return nil
        }
        let line = bytes.extracting(6..<max(6, end))
        return ProxyHeader(source: try source(of: line), byteCount: end + 2)
    }

    /// What stands behind `PROXY `. Of UNKNOWN's addresses nothing is to be read.
    private static func source(of line: Span<UInt8>) throws(Fault) -> SocketAddress? {
        var start = 0
        var words: [Range<Int>] = []
        for index in 0...line.count {
            guard index == line.count || line[index] == UInt8(ascii: " ") else { continue }
            words.append(start..<index)
            start = index + 1
        }
        let kind = line.extracting(words[0])
        if isSame(kind, "UNKNOWN") { return nil }
        let isIPv6 = isSame(kind, "TCP6")
        guard isIPv6 || isSame(kind, "TCP4"), words.count == 5 else { throw .line }
        let addresses = (line.extracting(words[1]), line.extracting(words[2]))
        guard let port = port(line.extracting(words[3])),
            Self.port(line.extracting(words[4])) != nil
        else { throw .port }
        if isIPv6 {
            // Senders write addresses mapped from IPv4 with dots, as inet_ntop(3) does.
            guard let halves = IPText.ipv6(addresses.0), IPText.ipv6(addresses.1) != nil else {
                throw .address
            }
            return SocketAddress(high: halves.high, low: halves.low, port: port)
        }
        guard let address = IPText.ipv4(addresses.0), IPText.ipv4(addresses.1) != nil else {
            throw .address
        }
        return .ipv4(address: address, port: port)
    }

    private static func isSame(_ bytes: Span<UInt8>, _ text: String) -> Bool {
        bytes.count == text.utf8.count
            && zip(text.utf8, 0..<bytes.count).allSatisfy { $0 == bytes[$1] }
    }

    private static func port(_ digits: Span<UInt8>) -> UInt16? {
        let hasLeadingZero = digits.count > 1 && digits[0] == UInt8(ascii: "0")
        guard digits.count <= 5, !hasLeadingZero, let number = Decimal.parse(digits) else {
            return nil
        }
        return UInt16(exactly: number)
    }
}

// MARK: Version 2

extension ProxyHeader {
    private static let fixedBytes = 16
    private enum Family: UInt8 { case unspecified, ipv4, ipv6, unix }
    private enum Transport: UInt8 { case unspecified, stream, datagram }

    private static func parseBinary(_ bytes: Span<UInt8>) throws(Fault) -> ProxyHeader? {
        guard bytes.count > 12 else { return nil }
        guard bytes[12] >> 4 == 2 else { throw .version }
        let isLocal = bytes[12] & 15 == 0
        guard isLocal || bytes[12] & 15 == 1 else { throw .command }
        guard bytes.count > 13 else { return nil }
        let family = Family(rawValue: bytes[13] >> 4)
        let transport = Transport(rawValue: bytes[13] & 15)
        // Of what is the sender's own the family is ignored, and all that follows.
        guard isLocal || family != nil && transport != nil else { throw .family }
        guard bytes.count >= fixedBytes else { return nil }
        let end = fixedBytes + number(bytes, at: 14)
        let isKnown = !isLocal && family != .unspecified && transport != .unspecified
        let fields = fixedBytes + (isKnown ? addressBytes(family) : 0)
        guard end <= byteCountMax, end >= fields else { throw .length }
        guard bytes.count >= end else { return nil }
        guard isKnown else { return ProxyHeader(source: nil, byteCount: end) }
        try checkFields(bytes.extracting(..<end), from: fields)
        let isTCP = transport == .stream
        return ProxyHeader(source: isTCP ? source(of: bytes, family) : nil, byteCount: end)
    }

    /// Both addresses and ports.
    private static func addressBytes(_ family: Family?) -> Int {
        switch family {
        case .ipv4: 12
        case .ipv6: 36
        case .unix: 216
        default: 0
        }
    }

    private static func source(of bytes: Span<UInt8>, _ family: Family?) -> SocketAddress? {
        switch family {
        case .ipv4:
            let address = UInt32(truncatingIfNeeded: bytes.halfWord(at: 16))
            return .ipv4(address: address, port: UInt16(number(bytes, at: 24)))
        case .ipv6:
            return SocketAddress(
                high: bytes.word(at: 16), low: bytes.word(at: 24),
                port: UInt16(number(bytes, at: 48)))
        default: return nil
        }
    }

    private static func number(_ bytes: Span<UInt8>, at index: Int) -> Int {
        Int(bytes[index]) << 8 | Int(bytes[index + 1])
    }

    private static let checksumField: UInt8 = 3
    /// Before a field's value: its type, and its length in two bytes.
    private static let fieldHeadBytes = 3

    /// Fields fill the header to its end; a checksum is over all of it, with zeros in its place.
    private static func checkFields(_ header: Span<UInt8>, from start: Int) throws(Fault) {
        var index = start
        var checksum: Int?
        while index < header.count {
            guard index + fieldHeadBytes <= header.count else { throw .field }
            let value = index + fieldHeadBytes
            let end = value + number(header, at: index + 1)
            guard end <= header.count else { throw .field }
            if header[index] == checksumField {
                guard end - value == 4, checksum == nil else { throw .checksum }
                checksum = value
            }
            index = end
        }
        guard let checksum else { return }
        var sum = CRC32C()
        for index in header.indices {
            sum.add((checksum..<checksum + 4).contains(index) ? 0 : header[index])
        }
        guard header.halfWord(at: checksum) == UInt64(sum.value) else { throw .checksum }
    }
}

extension ProxyHeader.Fault: CustomStringConvertible {
    public var description: String {
        switch self {
        case .missing: "the connection begins with something else"
        case .otherVersion(.v1): "it is one of version 1"
        case .otherVersion(.v2): "it is one of version 2"
        case .line: "the line is not as version 1 has it"
        case .address: "an address is none of the family"
        case .port: "a port is no port"
        case .version: "its version is neither 1 nor 2"
        case .command: "its command is unknown"
        case .family: "its address family or protocol is unknown"
        case .length: "it is too long, or too short for its addresses"
        case .field: "its last field goes beyond its end"
        case .checksum: "its checksum is wrong"
        }
    }
}
