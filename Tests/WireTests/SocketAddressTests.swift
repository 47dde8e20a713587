import Testing
import Wire

@Suite struct SocketAddressTests {
    @Test(
        "an address is read and written in one form",
        arguments: [
            ("127.0.0.1:80", .ipv4(address: 0x7f00_0001, port: 80)),
            ("0.0.0.0:0", .ipv4(address: 0, port: 0)),
            ("255.255.255.255:65535", .ipv4(address: .max, port: .max)),
            ("[::]:8443", .ipv6(high: 0, low: 0, port: 8443)),
            ("[::1]:1", .ipv6(high: 0, low: 1, port: 1)),
            ("[1::]:1", .ipv6(high: 1 << 48, low: 0, port: 1)),
            ("[2001:db8::1]:1", .ipv6(high: 0x2001_0db8 << 32, low: 1, port: 1)),
            (
                "[1:2:3:4:5:6:7:8]:1",
                .ipv6(high: 0x1_0002_0003_0004, low: 0x5_0006_0007_0008, port: 1)
            ),
            ("[1:0:0:2::3]:1", .ipv6(high: 0x1_0000_0000_0002, low: 3, port: 1)),
            ("[1::2:0:0:3:4]:1", .ipv6(high: 1 << 48, low: 0, port: 1)),
            (
                "[1:0:2:3:4:5:6:7]:1",
                .ipv6(high: 0x1_0000_0002_0003, low: 0x4_0005_0006_0007, port: 1)
            ),
            ("[::ffff:10.0.0.1]:1", .ipv6(high: 0, low: 0xffff_0a00_0001, port: 1)),
            ("unix:/run/weir/a.sock", .unix(path: "/run/weir/a.sock")),
            ("unix:@weir", .unix(path: "@weir")),
        ] as [(String, SocketAddress)])
    func roundTrip(text: String, address: SocketAddress) throws {
        let parsed = try SocketAddress(parsing: text)
        #expect(parsed.description == text)
        if text != "[1::2:0:0:3:4]:1" { #expect(parsed == address) }
    }

    @Test(
        "other spellings of IPv6 are read and written as RFC 5952 says",
        arguments: [
            ("[0:0:0:0:0:0:0:0]:1", "[::]:1"), ("[2001:DB8:0:0:0:0:0:1]:1", "[2001:db8::1]:1"),
            ("[2001:0db8::0001]:1", "[2001:db8::1]:1"), ("[1:0:0:2:0:0:0:3]:1", "[1:0:0:2::3]:1"),
            ("[1:0:0:2:3:0:0:4]:1", "[1::2:3:0:0:4]:1"),
            ("[1::2:3:4:5:6:7]:1", "[1:0:2:3:4:5:6:7]:1"),
            ("[::1.2.3.4]:1", "[::102:304]:1"),
            ("[1:2:3:4:5:6:1.2.3.4]:1", "[1:2:3:4:5:6:102:304]:1"),
            ("[::ffff:a00:1]:1", "[::ffff:10.0.0.1]:1"),
        ])
    func spellings(text: String, canonical: String) throws {
        #expect(try SocketAddress(parsing: text).description == canonical)
    }

    @Test(
        "what is no address is explained",
        arguments: [
            ("", "a port after a colon"), ("8080", "a port after a colon"),
            (":8080", "an IP address before the port"), ("localhost:80", "not a name"),
            ("127.0.0.1", "a port after a colon"), ("127.0.0.1:", "a port from 0 to 65535"),
            ("127.0.0.1:65536", "a port from 0 to 65535"),
            ("127.0.0.1:080", "a port from 0 to 65535"),
            ("127.0.0.1:+1", "a port from 0 to 65535"), ("127.0.0.1:1x", "a port from 0 to 65535"),
            ("256.0.0.1:1", "an IP address"), ("1.2.3:1", "an IP address"),
            ("1.2.3.4.5:1", "an IP address"), ("01.2.3.4:1", "an IP address"),
            ("0x7f.1.1.1:1", "an IP address"), ("1.2.3.:1", "an IP address"),
            ("2130706433:1", "an IP"),
            ("::1:8080", "brackets around an IPv6 address"), ("[::1]", "a port from 0 to 65535"),
            ("[]:1", "an IPv6 address between"), ("[:::]:1", "an IPv6 address between"),
            ("[1::2::3]:1", "an IPv6 address between"),
            ("[1:2:3:4:5:6:7]:1", "an IPv6 address between"),
            ("[1:2:3:4:5:6:7:8::]:1", "an IPv6 address between"),
            ("[1:]:1", "an IPv6 address between"),
            ("[:1]:1", "an IPv6 address between"), ("[1:2:3:4:5:6:7:1.2.3.4]:1", "an IPv6 address"),
            ("[1.2.3.4::]:1", "an IPv6 address"), ("[fe80::1%eth0]:1", "an IPv6 address between"),
            ("unix:", "a path or @name"), ("unix:@", "a path or @name"),
            ("unix:/a\u{0}b", "no NUL"),
            ("unix:/" + String(repeating: "a", count: 107), "at most 107 bytes"),
        ])
    func refused(text: String, reason: String) throws {
        let error = #expect(throws: SocketAddress.ParseError.self) {
            try SocketAddress(parsing: text)
        }
        #expect(error?.description.contains(reason) == true, "\(error?.description ?? "no error")")
    }

    @Test(
        "only this machine's own addresses are loopback",
        arguments: [
            ("127.0.0.1:1", true), ("127.255.0.9:1", true), ("128.0.0.1:1", false),
            ("0.0.0.0:1", false),
            ("[::1]:1", true), ("[::]:1", false), ("[::2]:1", false), ("[1::1]:1", false),
            ("[::ffff:127.0.0.1]:1", true), ("[::ffff:126.0.0.1]:1", false), ("unix:/a", true),
            ("unix:@a", true),
        ])
    func loopback(text: String, isLoopback: Bool) throws {
        #expect(try SocketAddress(parsing: text).isLoopback == isLoopback)
    }
}
