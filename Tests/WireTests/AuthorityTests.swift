import Testing
import Wire

@Suite struct AuthorityTests {
    @Test(
        "the host is found without port and one trailing dot",
        arguments: [
            ("orders.example", "orders.example"), ("orders.example:443", "orders.example"),
            ("orders.example.", "orders.example"), ("orders.example.:8443", "orders.example"),
            ("ORDERS.example:1", "ORDERS.example"), ("localhost", "localhost"), ("a", "a"),
            ("my_service:80", "my_service"), ("127.0.0.1:8080", "127.0.0.1"),
            ("a-b.c~d", "a-b.c~d"),
            ("[::1]", "[::1]"), ("[::1]:443", "[::1]"),
            ("[2001:db8::a:1]:65535", "[2001:db8::a:1]"),
            ("[::ffff:10.0.0.1]:0", "[::ffff:10.0.0.1]"), ("x:0", "x"), ("x:00080", "x"),
            (String(repeating: "a", count: 255) + ":1", String(repeating: "a", count: 255)),
        ])
    func host(authority: String, host: String) throws {
        let found = Authority.check(authority.utf8.span)
        let range = try #require(found)
        #expect(String(decoding: Array(authority.utf8)[range], as: UTF8.self) == host)
    }

    @Test(
        "what is no authority is refused",
        arguments: [
            "", ".", "..", "a..", "a..b", ".a", ":80", ".:80", "user@host", "user:password@host",
            "@",
            "host/path", "host/", "/", "a,b", "a b", " a", "a ", "a#b", "a\\b", "a?b", "a%2eb",
            "a;b",
            "host:", "host:80x", "host:x80", "host:-1", "host:+1", "host:65536", "host:999999",
            "host:80:80", "host: 80", "http://host", "::1", "[::1", "::1]", "[]", "[]:80", "[::1]x",
            "[::1]:", "[::1]:x", "[::1].", "[1]", "[::1%25eth0]", "[::1%eth0]", "[v1.a]",
            "[1.2.3.4]",
            "[:::]", "[1:2:3:4:5:6:7:8:9]", "[12345::]", "[g::]", "[::1]]", "a[::1]", "é.example",
            "a\u{0}", "a\t", "a\r\nb", "*", "*.example", "a\u{7f}",
            String(repeating: "a", count: 256),
        ])
    func refused(authority: String) {
        let found = Authority.check(authority.utf8.span)
        #expect(found == nil)
    }

    @Test(
        "host and :authority agree if they differ in case at most",
        arguments: [
            ("a.example", "a.example", true), ("A.Example", "a.exAMPLE", true), ("", "", true),
            ("a.example", "b.example", false), ("a.example", "a.example:443", false),
            ("a.example", "a.example.", false), ("[::A]", "[::a]", true), ("@", "`", false),
            ("[", "{", false),
        ])
    func same(a: String, b: String, isSame: Bool) {
        let found = Authority.isSame(a.utf8.span, b.utf8.span)
        #expect(found == isSame)
    }
}
