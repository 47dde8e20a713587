import Testing
import Wire

@Suite struct RequestPathTests {
    @Test(
        "a path in gRPC's grammar is told apart with its second slash",
        arguments: [
            ("/a/b", 2), ("/pkg.Service/Method", 12), ("/_/_", 2),
            ("/grpc.health.v1.Health/Check", 22),
            ("/Service1/M_2", 9), ("/a..b/c", 5), ("/a./c", 3),
        ])
    func grpc(path: String, serviceEnd: Int) {
        let found = RequestPath.check(path.utf8.span)
        #expect(found == .grpc(serviceEnd: serviceEnd))
    }

    @Test(
        "any other clean path is plain",
        arguments: [
            "/", "/a", "/a/", "/a/b/", "/a/b/c", "/1a/b", "/a/1b", "/a/b.c", "/a-b/c", "/a.B/C?x=1",
            "/.a", "/..a", "/a/...", "/a/.b/c..", "/a%20b", "/%e2%82%ac", "/%C0%AE", "/%3Ba",
            "/a%25b",
            "/a%252e", "/a=b,c:d@e!f$g&h'i(j)k*l+m", "/a?", "/a?b=//../;\\&c=%2F%5C%00%61",
            "/?/../",
            "/a/?b?c", "/a~b", "/v1/orders/7?full=1",
        ])
    func plain(path: String) {
        let found = RequestPath.check(path.utf8.span)
        #expect(found == .plain)
    }

    @Test(
        "a path that could be read in two ways is refused",
        arguments: [
            ("", .empty), ("Service/Method", .noLeadingSlash), ("a.B/C", .noLeadingSlash),
            ("*", .noLeadingSlash), ("?x=1", .noLeadingSlash),
            ("http://a.example/b", .noLeadingSlash),
            ("//", .emptySegment), ("//a.B/C", .emptySegment), ("/a//b", .emptySegment),
            ("/a.B//C", .emptySegment), ("/a.B/C//", .emptySegment), ("//host/path", .emptySegment),
            ("/.", .dotSegment), ("/..", .dotSegment), ("/./a", .dotSegment),
            ("/public/../admin", .dotSegment), ("/a/..", .dotSegment), ("/a/.?x", .dotSegment),
            ("/a/../", .dotSegment), ("/..?", .dotSegment),
            ("/public/..;/admin", .semicolon), ("/a;b", .semicolon), ("/a.B/C;x", .semicolon),
            ("/a\\b", .backslash), ("/..\\a", .backslash), ("\\a", .noLeadingSlash),
            ("/a b", .space), ("/a.B/C ", .space), (" /a", .noLeadingSlash),
            ("/a#b", .fragment), ("/a?b#c", .fragment), ("/a.B/C#", .fragment),
            ("/a\u{0}", .control), ("/a\tb", .control), ("/a\r\nb", .control),
            ("/a\u{7f}", .control),
            ("/a?\u{1}", .control), ("/a?b c", .space), ("/a?é", .highByte), ("/é", .highByte),
            ("/a%", .badPercent), ("/admin%", .badPercent), ("/a%4", .badPercent),
            ("/%zz", .badPercent),
            ("/%4g", .badPercent), ("/a?%", .badPercent), ("/a?%4", .badPercent),
            ("/a?%x1", .badPercent),
            ("/a%%41", .badPercent),
            ("/a%2Fb", .encodedSeparator), ("/a%2fb", .encodedSeparator),
            ("/a%5Cb", .encodedSeparator),
            ("/a%5cb", .encodedSeparator), ("/a%00", .encodedSeparator),
            ("/a.B%2FC", .encodedSeparator),
            ("/%61dmin", .encodedUnreserved), ("/%2e%2e/a", .encodedUnreserved),
            ("/a/%2E", .encodedUnreserved), ("/%7Ea", .encodedUnreserved),
            ("/a%30", .encodedUnreserved),
            ("/a%5F", .encodedUnreserved), ("/a%2D", .encodedUnreserved),
        ] as [(String, RequestPath.Refusal)])
    func refused(path: String, reason: RequestPath.Refusal) {
        let found = RequestPath.check(path.utf8.span)
        #expect(found == .refused(reason))
    }

    @Test("every byte beyond ASCII is refused, in a path and in a query")
    func highBytes() {
        for byte in 0x80...UInt8.max {
            for front in ["/a.B/C", "/a?b"] {
                let path = Array(front.utf8) + [byte]
                let found = RequestPath.check(path.span)
                #expect(found == .refused(.highByte))
            }
        }
    }

    @Test("each reason has words of its own")
    func words() {
        let words = Set(RequestPath.Refusal.allCases.map(\.words.description))
        #expect(words.count == RequestPath.Refusal.allCases.count)
    }
}
