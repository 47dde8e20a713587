import Testing

@testable import Wire

@Suite struct FieldSyntaxTests {
    private func isValue(_ value: some Sequence<UInt8>) -> Bool {
        FieldSyntax.isValue(Array(value).span)
    }

    private func isName(_ name: [UInt8]) -> Bool { FieldSyntax.isName(name.span) }

    @Test("each byte at each place of values short and long is judged by itself")
    func values() {
        for count in 1...19 {
            for place in 0..<count {
                for byte in UInt8.min ... .max {
                    var value = [UInt8](repeating: UInt8(ascii: "a"), count: count)
                    value[place] = byte
                    let isEnd = place == 0 || place == count - 1
                    let isControl = byte < 0x20 && byte != 0x09 || byte == 0x7f
                    let isBlank = byte == 0x20 || byte == 0x09
                    let expected = !isControl && !(isEnd && isBlank)
                    #expect(isValue(value) == expected)
                }
            }
        }
    }

    @Test("a byte that borrows does not make its neighbours wrong, nor hide them")
    func neighbours() {
        for first in [UInt8(0x09), 0x1f, 0x20, 0x7e, 0x7f, 0x80, 0xff] {
            for second in UInt8.min ... .max {
                let value: [UInt8] = [0x61, first, second, 0x61, 0x61, 0x61, 0x61, 0x61, 0x61]
                let expected = [first, second].allSatisfy { ($0 >= 0x20 || $0 == 9) && $0 != 0x7f }
                #expect(isValue(value) == expected)
                #expect(isValue(value.prefix(4)) == expected)
            }
        }
    }

    @Test("names are tokens in lower case")
    func names() {
        let allowed = Set("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz".utf8)
        for byte in UInt8.min ... .max {
            let name = [UInt8(ascii: "x"), byte]
            #expect(isName(name) == allowed.contains(byte))
        }
        let empty: [UInt8] = []
        #expect(!isName(empty))
        #expect(isValue(empty))
    }
}

/// A field's text as it stands in a table.
private typealias Field = (String, String)

@Suite struct MessageCheckTests {
    private static let get: [Field] = [
        (":method", "GET"), (":scheme", "http"), (":authority", "a.test"), (":path", "/"),
    ]

    private static func token(_ name: String) -> HeaderToken { HeaderToken.of(name.utf8.span) }

    /// The fault of a whole request without a body.
    private static func fault(request fields: [Field], body: Int64 = 0) -> MessageCheck.Fault? {
        var check = MessageCheck()
        for (name, value) in fields {
            let verdict = check.requestField(token(name), name.utf8.span, value.utf8.span)
            if verdict == .malformed { return check.fault }
        }
        let isConnect = fields.contains { $0 == (":method", "CONNECT") }
        _ =
            check.requestBlockEnded(isConnect: isConnect) && check.bodyReceived(body)
            && check.ended(body)
        return check.fault
    }

    @Test(
        "requests that RFC 9113 allows",
        arguments: [
            [], [("x", "")], [("te", "trailers")], [("te", "Trailers")], [("content-length", "0")],
            [("x-a", "b c\td")], [("x", "\u{e9}")], [("host", "a.test")], [("x_y", "1")],
            [("x-weir-peer", "forged")], [("proxy-anything", "1")],
        ])
    func goodRequests(fields: [(String, String)]) {
        #expect(Self.fault(request: Self.get + fields) == nil)
    }

    @Test(
        "requests that are malformed",
        arguments: [
            ([("X", "1")], .name), ([("", "1")], .name), ([("x y", "1")], .name),
            ([("x-weir-\u{7f}", "1")], .name), ([("x-jwt- ", "1")], .name),
            ([("proxy-A", "1")], .name), ([("x", "a\u{1}b")], .value), ([("x", " a")], .value),
            ([("x", "a\t")], .value), ([(":unknown", "1")], .pseudo), ([(":path", "/b")], .pseudo),
            ([(":status", "200")], .pseudo), ([(":protocol", "websocket")], .pseudo),
            ([("x", "1"), (":path", "/b")], .pseudo), ([("connection", "close")], .connection),
            ([("keep-alive", "1")], .connection), ([("upgrade", "h2c")], .connection),
            ([("proxy-connection", "x")], .connection), ([("te", "gzip")], .connection),
            ([("transfer-encoding", "chunked")], .connection),
            ([("content-length", "-1")], .contentLength),
            ([("content-length", "")], .contentLength),
            ([("content-length", "0"), ("content-length", "0")], .contentLength),
            ([("content-length", "18446744073709551616")], .contentLength),
            ([("content-length", "5")], .bodyLength),
            ([("host", "a"), ("host", "a")], .host),
        ] as [([(String, String)], MessageCheck.Fault)])
    func badRequests(fields: [(String, String)], fault: MessageCheck.Fault) {
        #expect(Self.fault(request: Self.get + fields) == fault)
    }

    @Test(
        "a request has a method, a scheme, a path and somebody it is for, each once and not empty")
    func pseudo() {
        for place in Self.get.indices {
            var fields = Self.get
            fields.remove(at: place)
            #expect(Self.fault(request: fields) == .incomplete)
            fields = Self.get
            fields.insert(fields[place], at: place)
            #expect(Self.fault(request: fields) == .pseudo)
            fields = Self.get
            fields[place].1 = ""
            #expect(Self.fault(request: fields) != nil)
        }
        let named = Self.get.filter { $0.0 != ":authority" } + [("host", "a.test")]
        #expect(Self.fault(request: named) == nil)
    }

    @Test("CONNECT has an authority and nothing else")
    func connect() {
        let bare: [Field] = [(":method", "CONNECT"), (":authority", "a.test:80")]
        #expect(Self.fault(request: bare) == nil)
        #expect(Self.fault(request: bare + [(":path", "/")]) == .incomplete)
        #expect(Self.fault(request: [bare[0], ("host", "a.test:80")]) == .incomplete)
    }

    @Test("a body is as long as content-length says, and no longer on the way")
    func bodies() {
        var check = MessageCheck()
        let name = "content-length"
        _ = check.requestField(.contentLength, name.utf8.span, "5".utf8.span)
        let verdicts = [
            check.bodyReceived(5), check.ended(5), check.ended(4), check.bodyReceived(6),
        ]
        #expect(verdicts == [true, true, false, false])
        #expect(check.fault == .bodyLength)
    }

    private static func response(
        _ status: UInt16, _ fields: [Field], isHead: Bool = false, body: Int64 = 0
    ) -> (fault: MessageCheck.Fault?, dropped: Int) {
        var check = MessageCheck()
        var dropped = 0
        let all = [(":status", "\(status)")] + fields
        for (place, (name, value)) in all.enumerated() {
            let known = place == 0 ? 0 : status
            switch check.responseField(
                token(name), name.utf8.span, value.utf8.span, status: known)
            {
            case .fine: continue
            case .dropped: dropped += 1
            case .malformed: return (check.fault, dropped)
            }
        }
        _ =
            check.responseBlockEnded(status: status, isEnd: false, isHead: isHead)
            && check.bodyReceived(body) && check.ended(body)
        return (check.fault, dropped)
    }

    @Test("responses: what a status may have of a body and its length")
    func responses() {
        let five = [("content-length", "5")]
        #expect(Self.response(200, five, body: 5).fault == nil)
        #expect(Self.response(200, five, body: 4).fault == .bodyLength)
        #expect(Self.response(200, five, isHead: true).fault == nil)
        #expect(Self.response(200, [], isHead: true, body: 1).fault == .bodyLength)
        #expect(Self.response(304, five).fault == nil)
        #expect(Self.response(204, [], body: 1).fault == .bodyLength)
        #expect(Self.response(204, [("content-length", "0")]) == (nil, 1))
        #expect(Self.response(204, five).fault == .contentLength)
        #expect(Self.response(103, five).fault == .contentLength)
        #expect(Self.response(101, []).fault == .status)
        #expect(Self.response(99, []).fault == .status)
        #expect(Self.response(200, [(":status", "200")]).fault == .pseudo)
        #expect(Self.response(200, [(":path", "/")]).fault == .pseudo)
        #expect(Self.response(200, [("host", "a"), ("host", "b")]).fault == nil)
    }

    @Test("an interim response does not end its stream, and another block follows it")
    func interim() {
        var check = MessageCheck()
        let status = ":status"
        _ = check.responseField(.status, status.utf8.span, "103".utf8.span, status: 0)
        let isFine = check.responseBlockEnded(status: 103, isEnd: false, isHead: false)
        #expect(isFine)
        _ = check.responseField(.status, status.utf8.span, "200".utf8.span, status: 0)
        let isEnd = check.responseBlockEnded(status: 200, isEnd: true, isHead: false)
        #expect(isEnd)
        var other = MessageCheck()
        _ = other.responseField(.status, status.utf8.span, "103".utf8.span, status: 0)
        let isEnded = other.responseBlockEnded(status: 103, isEnd: true, isHead: false)
        #expect(!isEnded)
        #expect(other.fault == .interimEnd)
    }

    @Test(
        "trailers",
        arguments: [
            ("grpc-status", "0", nil), ("te", "trailers", nil), (":status", "200", .pseudo),
            (":path", "/", .pseudo), ("content-length", "0", .trailer), ("host", "a", .trailer),
            ("connection", "close", .connection), ("te", "gzip", .connection), ("X", "1", .name),
            ("x", "\u{0}", .value),
        ] as [(String, String, MessageCheck.Fault?)])
    func trailers(name: String, value: String, fault: MessageCheck.Fault?) {
        var check = MessageCheck()
        let verdict = check.trailer(Self.token(name), name.utf8.span, value.utf8.span)
        #expect((verdict == .malformed) == (fault != nil))
        #expect(check.fault == fault)
    }

    @Test("trailers end the stream")
    func endOfTrailers() {
        var check = MessageCheck()
        let verdicts = [check.trailersEnded(isEnd: true), check.trailersEnded(isEnd: false)]
        #expect(verdicts == [true, false])
    }
}
