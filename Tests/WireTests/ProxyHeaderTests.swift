import Testing

@testable import Wire

@Suite("The PROXY protocol's header")
struct ProxyHeaderTests {
    typealias Fault = ProxyHeader.Fault

    /// What became of some bytes.
    enum Reading: Equatable {
        case whole(String?, Int)
        case incomplete
        case fault(Fault)
    }

    static func read(_ bytes: [UInt8], _ version: ProxyHeader.Version) -> Reading {
        do throws(Fault) {
            guard let header = try ProxyHeader.parse(bytes.span, version) else {
                return .incomplete
            }
            return .whole(header.source.map { "\($0)" }, header.byteCount)
        } catch {
            return .fault(error)
        }
    }

    static let signature: [UInt8] = [13, 10, 13, 10, 0, 13, 10, 0x51, 0x55, 0x49, 0x54, 10]
    static let ipv4: [UInt8] = [192, 0, 2, 7, 198, 51, 100, 1, 0xdc, 0x04, 0x01, 0xbb]
    static let ipv6: [UInt8] =
        [0x20, 1, 0x0d, 0xb8] + Array(repeating: 0, count: 11) + [7]
        + [0x20, 1, 0x0d, 0xb8] + Array(repeating: 0, count: 11) + [1] + [0xdc, 4, 1, 0xbb]

    static func header(
        _ command: UInt8, _ family: UInt8, _ block: [UInt8], length: Int? = nil
    ) -> [UInt8] {
        let length = length ?? block.count
        return signature + [command, family, UInt8(length >> 8), UInt8(length & 255)] + block
    }

    static func field(_ type: UInt8, _ value: [UInt8]) -> [UInt8] {
        [type, UInt8(value.count >> 8), UInt8(value.count & 255)] + value
    }

    static func checksummed(_ block: [UInt8], turn: UInt32 = 0) -> [UInt8] {
        var bytes = header(0x21, 0x11, block + field(3, [0, 0, 0, 0]))
        var sum = CRC32C()
        for byte in bytes { sum.add(byte) }
        let value = sum.value ^ turn
        bytes.removeLast(4)
        return bytes + (0..<4).map { UInt8(truncatingIfNeeded: value >> (24 - 8 * $0)) }
    }

    static let lines: [(String, Reading)] = [
        ("PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n", .whole("192.0.2.7:56324", 45)),
        (
            "PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n",
            .whole("255.255.255.255:65535", 56)
        ),
        ("PROXY TCP4 192.0.2.7 198.51.100.1 0 0\r\nPRI *", .whole("192.0.2.7:0", 39)),
        ("PROXY TCP6 2001:DB8::7 ::1 56324 443\r\n", .whole("[2001:db8::7]:56324", 38)),
        (
            "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
                + "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
            .whole("[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535", 104)
        ),
        ("PROXY TCP6 ::ffff:192.0.2.7 ::ffff:198.51.100.1 1 2\r\n", .whole("192.0.2.7:1", 53)),
        ("PROXY UNKNOWN\r\n", .whole(nil, 15)), ("PROXY UNKNOWN \r\n", .whole(nil, 16)),
        ("PROXY UNKNOWN what\rever\nthis is\r\nx", .whole(nil, 33)),
        (
            "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
                + "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n", .whole(nil, 107)
        ),
        (
            "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
                + "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535 \r\n", .fault(.line)
        ),
        ("", .incomplete), ("P", .incomplete), ("PROXY TCP4 192.0.2.7", .incomplete),
        ("PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r", .incomplete),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", .fault(.missing)), ("proxy ", .fault(.missing)),
        ("\u{16}\u{3}\u{1}", .fault(.missing)), ("PROXYTCP4", .fault(.missing)),
        ("PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\n\r\n", .fault(.port)),
        ("PROXY TCP4 192.0.2.7 198.51.100.1 56324 443 \r\n", .fault(.line)),
        ("PROXY TCP4  192.0.2.7 198.51.100.1 56324 443\r\n", .fault(.line)),
        ("PROXY  TCP4 192.0.2.7 198.51.100.1 56324 443\r\n", .fault(.line)),
        ("PROXY TCP4\t192.0.2.7 198.51.100.1 56324 443\r\n", .fault(.line)),
        ("PROXY tcp4 192.0.2.7 198.51.100.1 56324 443\r\n", .fault(.line)),
        ("PROXY TCP5 192.0.2.7 198.51.100.1 56324 443\r\n", .fault(.line)),
        ("PROXY UNKNOWNS\r\n", .fault(.line)), ("PROXY \r\n", .fault(.line)),
        ("PROXY TCP4\r\n", .fault(.line)), ("PROXY TCP4 192.0.2.7\r\n", .fault(.line)),
        ("PROXY TCP4 192.0.2.07 198.51.100.1 56324 443\r\n", .fault(.address)),
        ("PROXY TCP4 192.0.2 198.51.100.1 56324 443\r\n", .fault(.address)),
        ("PROXY TCP4 192.0.2.256 198.51.100.1 56324 443\r\n", .fault(.address)),
        ("PROXY TCP4 ::1 ::1 56324 443\r\n", .fault(.address)),
        ("PROXY TCP4 192.0.2.7 gone 56324 443\r\n", .fault(.address)),
        ("PROXY TCP6 192.0.2.7 198.51.100.1 56324 443\r\n", .fault(.address)),
        ("PROXY TCP6 fe80::1%eth0 ::1 56324 443\r\n", .fault(.address)),
        ("PROXY TCP6 [::1] ::1 56324 443\r\n", .fault(.address)),
        ("PROXY TCP6 1::2::3 ::1 56324 443\r\n", .fault(.address)),
        ("PROXY TCP4 192.0.2.7 198.51.100.1 056324 443\r\n", .fault(.port)),
        ("PROXY TCP4 192.0.2.7 198.51.100.1 65536 443\r\n", .fault(.port)),
        ("PROXY TCP4 192.0.2.7 198.51.100.1 1 0443\r\n", .fault(.port)),
        ("PROXY TCP4 192.0.2.7 198.51.100.1 +1 443\r\n", .fault(.port)),
        ("PROXY TCP4 192.0.2.7 198.51.100.1  443\r\n", .fault(.port)),
        ("\r\n\r\n\0\r\nQUIT\n", .fault(.otherVersion(.v2))),
    ]

    @Test("version 1 is a line, exactly", arguments: lines)
    func line(_ text: String, _ reading: Reading) {
        #expect(Self.read(Array(text.utf8), .v1) == reading)
    }

    static let unix = [UInt8](repeating: 0x41, count: 216)
    static let blocks: [([UInt8], Reading)] = [
        (header(0x21, 0x11, ipv4), .whole("192.0.2.7:56324", 28)),
        (header(0x21, 0x11, ipv4) + [0x50], .whole("192.0.2.7:56324", 28)),
        (header(0x21, 0x21, ipv6), .whole("[2001:db8::7]:56324", 52)),
        (header(0x21, 0x12, ipv4), .whole(nil, 28)), (header(0x21, 0x22, ipv6), .whole(nil, 52)),
        (header(0x21, 0x31, unix), .whole(nil, 232)), (header(0x21, 0x32, unix), .whole(nil, 232)),
        (header(0x20, 0x00, []), .whole(nil, 16)), (header(0x20, 0x11, ipv4), .whole(nil, 28)),
        (header(0x20, 0xff, [1, 2, 3]), .whole(nil, 19)), (header(0x21, 0x00, []), .whole(nil, 16)),
        (header(0x21, 0x00, [9, 9]), .whole(nil, 18)), (header(0x21, 0x10, ipv4), .whole(nil, 28)),
        (header(0x21, 0x01, []), .whole(nil, 16)),
        (
            header(0x21, 0x11, ipv4 + field(2, Array("weir.test".utf8)) + field(4, [])),
            .whole("192.0.2.7:56324", 43)
        ),
        (
            header(0x21, 0x11, ipv4 + field(0xee, Array(repeating: 1, count: 8_000))),
            .whole("192.0.2.7:56324", 8_031)
        ),
        (signature, .incomplete), (Array(signature.prefix(5)), .incomplete),
        (Array(header(0x21, 0x11, ipv4).dropLast()), .incomplete),
        (signature + [0x21, 0x11], .incomplete),
        (signature + [0x11], .fault(.version)), (signature + [0x31], .fault(.version)),
        (signature + [0x22], .fault(.command)), (signature + [0x2f], .fault(.command)),
        (signature + [0x21, 0x41], .fault(.family)), (signature + [0x21, 0x13], .fault(.family)),
        (header(0x21, 0x11, [], length: 11), .fault(.length)),
        (header(0x21, 0x21, [], length: 35), .fault(.length)),
        (header(0x21, 0x31, [], length: 215), .fault(.length)),
        (header(0x21, 0x11, [], length: 8_177), .fault(.length)),
        (header(0x20, 0x00, [], length: 65_535), .fault(.length)),
        (header(0x21, 0x11, ipv4 + [4]), .fault(.field)),
        (header(0x21, 0x11, ipv4 + [4, 0]), .fault(.field)),
        (header(0x21, 0x11, ipv4 + [4, 0, 1]), .fault(.field)),
        (header(0x21, 0x11, ipv4 + [4, 255, 255, 1]), .fault(.field)),
        (checksummed(ipv4), .whole("192.0.2.7:56324", 35)),
        (checksummed(ipv4 + field(5, [1, 2])), .whole("192.0.2.7:56324", 40)),
        (checksummed(ipv4, turn: 1), .fault(.checksum)),
        (header(0x21, 0x11, ipv4 + field(3, [0, 0, 0])), .fault(.checksum)),
        (
            header(0x21, 0x11, ipv4 + field(3, [0, 0, 0, 0]) + field(3, [0, 0, 0, 0])),
            .fault(.checksum)
        ),
        (Array("PROXY TCP4 ".utf8), .fault(.otherVersion(.v1))),
        (Array("PROXY".utf8), .fault(.otherVersion(.v1))),
        (Array("PRI * HTTP/2.0".utf8), .fault(.missing)), ([0x16, 3, 1], .fault(.missing)),
        ([13, 10, 13, 10, 13], .fault(.missing)),
    ]

    @Test("version 2 is binary, and bounded", arguments: blocks)
    func binary(_ bytes: [UInt8], _ reading: Reading) {
        #expect(Self.read(bytes, .v2) == reading)
    }

    @Test("no part of a header is read as one, and what follows does not matter")
    func parts() {
        let all =
            Self.lines.map { (Array($0.0.utf8), $0.1, ProxyHeader.Version.v1) }
            + Self.blocks.map { ($0.0, $0.1, .v2) }
        for (bytes, reading, version) in all {
            guard case .whole(_, let count) = reading else { continue }
            for end in 0..<count {
                #expect(Self.read(Array(bytes[..<end]), version) == .incomplete)
            }
            let tail = (0..<200).map { UInt8(truncatingIfNeeded: $0 &* 37) }
            #expect(Self.read(Array(bytes[..<count]) + tail, version) == reading)
        }
    }

    @Test("a fault that is seen stays one, whatever comes after it")
    func faultsStay() {
        let all =
            Self.lines.map { (Array($0.0.utf8), $0.1, ProxyHeader.Version.v1) }
            + Self.blocks.map { ($0.0, $0.1, .v2) }
        for (bytes, reading, version) in all {
            guard case .fault = reading else { continue }
            #expect(Self.read(bytes + [0x41, 13, 10, 0, 255], version) == reading)
        }
    }

    @Test("an address that is written comes back, in either version", arguments: 0..<200)
    func writtenAndRead(seed: UInt64) {
        var word = seed &* 0x9e37_79b9_7f4a_7c15 | 1
        func next() -> UInt64 {
            word ^= word << 13
            word ^= word >> 7
            word ^= word << 17
            return word
        }
        let port = UInt16(truncatingIfNeeded: next())
        let (high, low) = (next(), next())
        let isIPv6 = seed % 2 == 0
        let source: SocketAddress =
            isIPv6
            ? .ipv6(high: high, low: low, port: port)
            : .ipv4(address: UInt32(truncatingIfNeeded: low), port: port)
        let text =
            isIPv6
            ? IPText.describe(high: high, low: low)
            : IPText.describe(UInt32(truncatingIfNeeded: low))
        let line = "PROXY TCP\(isIPv6 ? 6 : 4) \(text) \(text) \(port) 443\r\n"
        #expect(Self.read(Array(line.utf8), .v1) == .whole("\(source)", line.utf8.count))
        let octets = (isIPv6 ? [high, low] : [low << 32]).flatMap { half in
            (0..<8).map { UInt8(truncatingIfNeeded: half >> UInt64(56 - 8 * $0)) }
        }.prefix(isIPv6 ? 16 : 4)
        let block = octets + octets + [UInt8(port >> 8), UInt8(port & 255), 1, 187]
        let bytes = Self.header(0x21, isIPv6 ? 0x21 : 0x11, Array(block))
        #expect(Self.read(bytes, .v2) == .whole("\(source)", bytes.count))
    }

    @Test("the checksum is Castagnoli's")
    func checksum() {
        var sum = CRC32C()
        for byte in "123456789".utf8 { sum.add(byte) }
        #expect(sum.value == 0xe306_9283)
    }
}
