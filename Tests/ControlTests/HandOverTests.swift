import Testing
import Wire

@testable import Control

/// What is said of sockets that are handed over.
@Suite struct HandOverTests {
    private static let whole = HandOver(
        instance: "4be1", processID: 7, version: "0.1.0",
        sockets: [
            .init(address: .ipv4(address: 0x7f00_0001, port: 80)),
            .init(address: .ipv6(high: 0, low: 1, port: 443), supervisedName: "ed\"ge\n"),
            .init(address: .unix(path: "/run/weir/ä.sock")), .init(address: .unix(path: "@name")),
        ])

    @Test("what was written is read back")
    func roundTrip() throws {
        #expect(try HandOver(parsing: Array(Self.whole.text.utf8)) == Self.whole)
    }

    @Test("members that are not known are passed over")
    func unknownMembers() throws {
        let text = #"""
            {"protocol": 1, "more": {"a": [1]}, "instance": "x", "process": 1, "version": "2",
             "sockets": [{"address": "[::]:1", "mark": true}]}
            """#
        let read = try HandOver(parsing: Array(text.utf8))
        #expect(read.sockets == [.init(address: .ipv6(high: 0, low: 0, port: 1))])
    }

    @Test(
        "what is none is refused with the reason",
        arguments: [
            ("", .syntax("no value at byte 0")), ("\0", nil), ("{}", .otherProtocol),
            (#"{"protocol":2}"#, .otherProtocol), (#"{"protocol":"1"}"#, .otherProtocol),
            (#"{"protocol":1.0}"#, .otherProtocol), (#"{"protocol":1}"#, .member("process")),
            (#"{"protocol":1,"process":0}"#, .member("process")),
            (#"{"protocol":1,"process":4294967297}"#, .member("process")),
            (#"{"protocol":1,"process":1,"sockets":{}}"#, .member("sockets")),
            (#"{"protocol":1,"process":1,"sockets":[1]}"#, .member("address")),
            (#"{"protocol":1,"process":1,"sockets":[{"address":"a"}]}"#, .address("a")),
            (
                #"{"protocol":1,"process":1,"sockets":[{"address":"unix:/a","name":1}]}"#,
                .member("name")
            ),
            (#"{"protocol":1,"process":1,"sockets":[]}"#, .member("instance")),
            (#"{"protocol":1,"process":1,"sockets":[],"instance":"a"}"#, .member("version")),
        ] as [(String, HandOver.Problem?)])
    func refused(text: String, problem: HandOver.Problem?) {
        let found = #expect(throws: HandOver.Problem.self) {
            try HandOver(parsing: Array(text.utf8))
        }
        if let problem { #expect(found == problem) }
        #expect(found?.words.isEmpty == false)
    }

    @Test("it is bounded, in bytes and in sockets")
    func bounds() {
        let long = Array(repeating: UInt8(ascii: " "), count: HandOver.bytesMax + 1)
        #expect(throws: HandOver.Problem.length) { try HandOver(parsing: long) }
        var many = Self.whole
        let socket = HandOver.Socket(address: .unix(path: "/a"))
        many.sockets = Array(repeating: socket, count: HandOver.socketsMax + 1)
        let text = Array(many.text.utf8)
        #expect(throws: HandOver.Problem.tooManySockets) { try HandOver(parsing: text) }
    }

    @Test("every beginning of one, and every byte of one changed, is read or refused")
    func damaged() {
        let bytes = Array(Self.whole.text.utf8)
        for count in 0..<bytes.count - 1 {
            #expect(throws: HandOver.Problem.self) { try HandOver(parsing: Array(bytes[..<count])) }
        }
        for index in bytes.indices {
            for value in [0, 0x22, 0x30, 0x5b, 0x7d, 0xff] as [UInt8] {
                var damaged = bytes
                damaged[index] = value
                _ = try? HandOver(parsing: damaged)
            }
        }
    }

    @Test(
        "an answer over HTTP is read, and what is none is not",
        arguments: [
            ("HTTP/1.1 200 OK\r\nA: b\r\n\r\nbody\nmore", 200, "body"),
            (
                "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 103 X\r\n\r\nHTTP/1.0 404 \r\n\r\n", 404,
                ""
            ),
            ("HTTP/1.1 103 Early Hints\r\n\r\n", nil, ""), ("HTTP/1.1 200 OK\r\nA: b", nil, ""),
            ("HTTP/1.1 2\r\n\r\n", nil, ""), ("HTTP/1.1 999 X\r\n\r\n", nil, ""),
            ("HTTP/2.0 200 OK\r\n\r\n", nil, ""), ("\0\0\0\r\n\r\n", nil, ""), ("", nil, ""),
            ("HTTP/1.1 -20 X\r\n\r\n", nil, ""), ("HTTP/1.1 103\r\n\r\nHTTP/1.1", nil, ""),
        ] as [(String, Int?, String)])
    func answers(text: String, status: Int?, words: String) {
        let answer = HTTPAnswer(parsing: Array(text.utf8))
        #expect(answer?.status == status)
        #expect((answer?.words ?? "") == words)
    }
}
