import Configuration
import Testing

@testable import Proxy

@Suite struct RequestIDTests {
    private static let made = "0000000000000000" + "0000000000001234"

    private static func ids(
        _ fields: [String], _ policy: ListenerTerms.Intake.RequestID
    ) throws -> [String] {
        let fixture = try RequestFixture(
            [(":path", "/a")] + fields.map { ("x-request-id", $0) } + [("x-last", "1")])
        fixture.worker.identify(fixture.exchange, policy)
        let headers = fixture.exchange.request.headers
        let noted = headers.value(at: fixture.exchange.head.requestID)?.text
        let ids = (0..<headers.count).filter { headers.name($0).equals("x-request-id") }.map {
            headers.value($0).text
        }
        #expect(noted == ids.last)
        return ids
    }

    @Test("one is made where none came")
    func made() throws {
        #expect(try Self.ids([], .make) == [Self.made])
        #expect(try Self.ids([], .replace) == [Self.made])
    }

    @Test("one that came is kept", arguments: ["a", "8c1e-2f", String(repeating: "x", count: 128)])
    func kept(_ id: String) throws {
        #expect(try Self.ids([id], .make) == [id])
        #expect(try Self.ids([id], .replace) == [Self.made])
    }

    @Test(
        "one that no log can hold is replaced",
        arguments: ["", "a b", "a\tb", "é", "\u{7f}", String(repeating: "x", count: 129)])
    func improper(_ id: String) throws { #expect(try Self.ids([id], .make) == [Self.made]) }

    @Test("of several none is kept")
    func several() throws { #expect(try Self.ids(["a", "b"], .make) == [Self.made, Self.made]) }

    @Test("it is 32 hexadecimal digits")
    func digits() {
        let text = RequestID.text(0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210)
        let expected = Array("0123456789abcdeffedcba9876543210".utf8)
        #expect(text.indices.map { text[$0] } == expected)
    }
}

@Suite struct HopMarkerTests {
    @Test(
        "a process finds its own mark and no other",
        arguments: [
            ("2 weir-00000000000000ff", true), ("1.1 a, 2 weir-00000000000000ff", true),
            ("2.0 weir-00000000000000ff (x), 1.1 b", true), ("2 weir-00000000000000fe", false),
            ("weir-00000000000000f", false), ("", false), ("1.1 weir", false),
        ])
    func finds(_ via: String, _ expected: Bool) throws {
        let fixture = try RequestFixture([("via", via)])
        let marker = HopMarker(0xff)
        #expect(marker.value.text == "2 weir-00000000000000ff")
        #expect(marker.isIn(fixture.exchange.request.headers.value(0)) == expected)
    }
}
