import Testing

@testable import Proxy

@Suite("The first bytes of a client's connection")
struct ClientPrefaceTests {
    typealias Verdict = ClientPreface.Verdict

    private static let whole = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    static let beginnings: [(String, Verdict)] = [
        (whole, .http2), (whole + "\0\0\0\u{4}", .http2), ("P", .begun), ("PRI * HTT", .begun),
        ("INVALID CONNECTION PREFACE\r\n\r\n", .unknown), ("GET ", .undecided),
        ("CONNECT [::1]:80 HTTP/1.1", .http1(isHead: false)),
        ("GET http://a/ HTTP/1.1", .http1(isHead: false)),
        ("GET / HTTP/1.1\r\n", .http1(isHead: false)), ("G", .undecided), ("GET", .undecided),
        ("HEAD / HTTP/1.0\r\n", .http1(isHead: true)), ("HEADS / ", .http1(isHead: false)),
        ("POST / HTTP/1.1", .http1(isHead: false)), ("PRI / HTTP/1.1", .http1(isHead: false)),
        ("M-SEARCH * HTTP/1.1", .http1(isHead: false)), (" GET /", .unknown),
        ("get / HTTP/1.1", .unknown), ("AVERYLONGMETHODTHATNOBODYHASEVERSEEN /", .unknown),
        ("\u{16}\u{3}\u{1}\u{2}", .tls), ("\u{16}", .undecided), ("\u{16}\u{2}", .unknown),
        ("\0\0\0\u{4}", .unknown), ("PRI * HTTP/2.0\r\n\r\nSM\r\n\rX", .http1(isHead: false)),
    ]

    @Test("are told apart at once", arguments: beginnings)
    func atOnce(_ bytes: String, _ verdict: Verdict) {
        var preface = ClientPreface()
        #expect(preface.received(Array(bytes.utf8).span) == verdict)
    }

    @Test("are told apart byte by byte", arguments: beginnings)
    func byteByByte(_ bytes: String, _ verdict: Verdict) {
        var preface = ClientPreface()
        var last = Verdict.begun
        for byte in Array(bytes.utf8) {
            let next = preface.received([byte].span)
            // nghttp2 is never given bytes again that it was not given before.
            if last == .undecided { #expect(next != .begun && next != .http2) }
            last = next
        }
        #expect(last == verdict)
    }
}
