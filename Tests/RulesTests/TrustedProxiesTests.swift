import Rules
import Testing
import Wire

@Suite struct TrustedProxiesTests {
    @Test(
        "the client is the rightmost address that is no trusted proxy's",
        arguments: [
            ([], "10.0.0.1"), (["203.0.113.7"], "203.0.113.7"),
            (["203.0.113.7, 10.0.0.2"], "203.0.113.7"),
            (["192.0.2.1, 203.0.113.7, 10.0.0.2, 10.0.0.3"], "203.0.113.7"),
            (["192.0.2.1", "203.0.113.7", "10.0.0.2"], "203.0.113.7"),
            (["10.0.0.9, 203.0.113.7, 10.0.0.2"], "203.0.113.7"),
            (["10.0.0.9, 10.0.0.2"], "10.0.0.9"), ([" 203.0.113.7 ,\t10.0.0.2 "], "203.0.113.7"),
            (["203.0.113.7:4711"], "203.0.113.7"), (["2001:db8::1"], "2001:db8::1"),
            (["[2001:db8::1]"], "2001:db8::1"), (["[2001:db8::1]:80"], "2001:db8::1"),
            (["::ffff:203.0.113.7"], "203.0.113.7"),
            // What cannot be read is in no range, and what a client made up stays behind it.
            (["10.0.0.9, unknown"], "unknown"), (["203.0.113.7, unknown, 10.0.0.2"], "unknown"),
            ([""], "unknown"), (["203.0.113.7,"], "unknown"), ([",203.0.113.7"], "203.0.113.7"),
            (["for=203.0.113.7"], "unknown"), (["203.0.113.7 10.0.0.2"], "unknown"),
            (["[203.0.113.7"], "unknown"), (["[2001:db8::1]x"], "unknown"),
            (["203.0.113.07"], "unknown"), (["unknown, 203.0.113.7"], "203.0.113.7"),
        ])
    func client(values: [String], expected: String) throws {
        let proxies = TrustedProxies([try AddressRange(parsing: "10.0.0.0/8".utf8.span)])
        var request = Request()
        for value in values { request = request.with("x-forwarded-for", value) }
        let proxy = IPAddress(ipv4: 0x0a00_0001)
        #expect("\(proxies.client(behind: proxy, fields: request))" == expected)
    }

    @Test("only addresses in its ranges are trusted")
    func trusts() throws {
        let ranges = try ["10.0.0.0/8", "unix"].map { try AddressRange(parsing: $0.utf8.span) }
        let proxies = TrustedProxies(ranges)
        #expect(proxies.trusts(IPAddress(ipv4: 0x0a00_0001)))
        #expect(proxies.trusts(IPAddress(.unix(path: "@a"))))
        #expect(!proxies.trusts(IPAddress(ipv4: 0x0b00_0001)) && !proxies.trusts(.unknown))
        #expect(!TrustedProxies([]).trusts(IPAddress(ipv4: 0x0a00_0001)))
    }
}
