import Testing
import Wire

@testable import Proxy

@Suite("What a proxy in front says first")
struct ProxyAnnouncementTests {
    typealias Verdict = ProxyAnnouncement.Verdict

    private static let client = SocketAddress.ipv4(address: 0xc000_0207, port: 56_324)
    private static let line = Array("PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n".utf8)
    private static let block: [UInt8] = [
        13, 10, 13, 10, 0, 13, 10, 0x51, 0x55, 0x49, 0x54, 10, 0x21, 0x11, 0, 15, 192, 0, 2, 7,
        198, 51, 100, 1, 0xdc, 4, 1, 0xbb, 4, 0, 0,
    ]
    private static let preface = Array("PRI * HTTP/2.0\r\n".utf8)

    private static func bytes(_ version: ProxyHeader.Version) -> [UInt8] {
        (version == .v1 ? line : block) + preface
    }

    @Test(
        "is told from what follows wherever the bytes are cut",
        arguments: [ProxyHeader.Version.v1, .v2])
    func cut(_ version: ProxyHeader.Version) {
        let bytes = Self.bytes(version)
        let header = bytes.count - Self.preface.count
        for first in 0...bytes.count {
            for second in [first, (first + bytes.count) / 2] {
                var announcement = ProxyAnnouncement(version)
                var start = 0
                for end in [first, second, bytes.count] {
                    let verdict = announcement.received(Array(bytes[start..<end]).span)
                    if end >= header {
                        #expect(
                            verdict == .announced(source: Self.client, used: header - start))
                        break
                    }
                    #expect(verdict == .undecided)
                    start = end
                }
            }
        }
    }

    @Test("is read byte by byte", arguments: [ProxyHeader.Version.v1, .v2])
    func byteByByte(_ version: ProxyHeader.Version) {
        var announcement = ProxyAnnouncement(version)
        let header = Self.bytes(version).dropLast(Self.preface.count)
        for byte in header.dropLast() {
            #expect(announcement.received([byte].span) == .undecided)
        }
        let last = announcement.received([header[header.endIndex - 1]].span)
        #expect(last == .announced(source: Self.client, used: 1))
    }

    @Test("is refused with the first byte that cannot be right")
    func refused() {
        var announcement = ProxyAnnouncement(.v1)
        #expect(announcement.received(Array("PR".utf8).span) == .undecided)
        #expect(announcement.hasBegun)
        #expect(announcement.received(Array("I".utf8).span) == .refused(.missing))
        #expect(!announcement.hasBegun)
        var endless = ProxyAnnouncement(.v1)
        let long = Array("PROXY UNKNOWN".utf8) + Array(repeating: 0x20, count: 20_000)
        #expect(endless.received(long.span) == .refused(.line))
    }
}
