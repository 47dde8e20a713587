import Testing
import Wire

@Suite struct IPAddressTests {
    @Test(
        "a range covers the addresses that share its first bits",
        arguments: [
            ("10.0.0.0/8", "10.255.0.1", true), ("10.0.0.0/8", "11.0.0.0", false),
            ("10.0.0.0/8", "9.255.255.255", false), ("0.0.0.0/0", "255.0.0.1", true),
            ("10.1.2.3", "10.1.2.3", true), ("10.1.2.3", "10.1.2.2", false),
            ("10.1.2.2/31", "10.1.2.3", true), ("10.1.2.2/31", "10.1.2.4", false),
            ("10.1.2.3/32", "10.1.2.3", true), ("128.0.0.0/1", "127.0.0.1", false),
            ("2001:db8::/32", "2001:db8:ffff::1", true), ("2001:db8::/32", "2001:db9::", false),
            ("2001:db8::/64", "2001:db8::ffff:0:0:1", true),
            ("2001:db8::/64", "2001:db8:0:1::", false),
            ("2001:db8::/65", "2001:db8::7fff:0:0:1", true),
            ("2001:db8::/65", "2001:db8::8000:0:0:1", false), ("::1", "::1", true),
            ("::1", "::2", false), ("::/0", "2001:db8::1", true), ("fe80::/127", "fe80::1", true),
            ("fe80::/128", "fe80::1", false),
        ])
    func covers(range: String, address: String, isCovered: Bool) throws {
        let range = try AddressRange(parsing: range.utf8.span)
        let parsed = IPAddress(parsing: address.utf8.span)
        let address = try #require(parsed)
        #expect(range.contains(address) == isCovered)
    }

    @Test(
        "an address mapped into IPv6 is the IPv4 address, in a range and as a caller's",
        arguments: [
            ("10.0.0.0/8", "::ffff:10.0.0.1", true), ("::ffff:10.0.0.0/104", "10.9.9.9", true),
            ("::ffff:10.0.0.0/104", "::ffff:11.0.0.1", false), ("::/0", "::ffff:10.0.0.1", false),
            ("::/0", "10.0.0.1", false), ("0.0.0.0/0", "::ffff:10.0.0.1", true),
            ("0.0.0.0/0", "::1", false), ("::ffff:0:0/96", "10.0.0.1", true),
        ])
    func mapped(range: String, address: String, isCovered: Bool) throws {
        let range = try AddressRange(parsing: range.utf8.span)
        let parsed = IPAddress(parsing: address.utf8.span)
        let address = try #require(parsed)
        #expect(range.contains(address) == isCovered)
    }

    @Test("sockets give their addresses; one without an IP address is in no range but unix")
    func sockets() throws {
        let any = try AddressRange(parsing: "0.0.0.0/0".utf8.span)
        let six = try AddressRange(parsing: "::/0".utf8.span)
        let unix = try AddressRange(parsing: "unix".utf8.span)
        let path = IPAddress(.unix(path: "@a"))
        #expect(unix.contains(path) && !any.contains(path) && !six.contains(path))
        let mapped = IPAddress(.ipv6(high: 0, low: 0xffff_0a00_0001, port: 1))
        #expect(mapped == IPAddress(.ipv4(address: 0x0a00_0001, port: 2)))
        for range in [any, six, unix] { #expect(!range.contains(.unknown)) }
        #expect("\(mapped) \(path) \(unix)" == "10.0.0.1 unix unix")
    }

    @Test(
        "what is no range is refused",
        arguments: [
            ("", .form), ("10", .form), ("10.0.0.0/", .form), ("10.0.0.0/08", .form),
            ("10.0.0.0/+8", .form), ("10.0.0.0/8/8", .form), ("10.0.0.0/33", .length),
            ("::/129", .length), ("10.0.0.0/999", .length), ("10.0.0.0/1000", .form),
            ("01.0.0.0/8", .form), ("unix/1", .form), ("orders.example", .form),
            ("[::1]", .form), ("10.0.0.0:80", .form), ("::ffff:10.0.0.0/8", .length),
        ] as [(String, AddressRange.ParseError)])
    func refused(text: String, error: AddressRange.ParseError) {
        #expect(throws: error) { try AddressRange(parsing: text.utf8.span) }
    }

    @Test("bits behind the prefix are refused with the range that was meant")
    func hostBits() throws {
        let meant = try AddressRange(parsing: "10.9.0.0/16".utf8.span)
        #expect(throws: AddressRange.ParseError.hostBits(meant)) {
            try AddressRange(parsing: "10.9.0.1/16".utf8.span)
        }
        #expect("\(meant)" == "10.9.0.0/16")
    }
}
