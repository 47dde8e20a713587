import Identity
import Testing
import Wire

@testable import Proxy

@Suite("What a server gets of a request's token")
struct SettledTokenTests {
    private static func fields(_ authorizations: [String]) -> [(String, String)] {
        [
            (":method", "POST"), (":scheme", "http"), (":authority", "shop.example"),
            (":path", "/a/b"), ("x-a", "1"),
        ] + authorizations.map { ("authorization", $0) } + [
            ("te", "trailers"), ("content-type", "application/grpc"), ("grpc-timeout", "1S"),
            ("x-request-id", "id"), ("x-a", "2"),
        ]
    }

    private static func lines(of exchange: Exchange) -> [String] {
        RequestFixture.lines(of: exchange.request.headers)
    }

    private static func expected(_ more: [String] = []) -> [String] {
        fields([]).map { "\($0.0): \($0.1)" } + more
    }

    /// What `RequestHead` remembers stands where it says.
    private static func checkHead(_ exchange: Exchange) {
        let headers = exchange.request.headers
        let head = exchange.head
        #expect(headers.value(at: head.method)?.text == "POST")
        #expect(headers.value(at: head.path)?.text == "/a/b")
        #expect(headers.value(at: head.authority)?.text == "shop.example")
        #expect(headers.value(at: head.te)?.text == "trailers")
        #expect(headers.value(at: head.contentType)?.text == "application/grpc")
        #expect(headers.value(at: head.grpcTimeout)?.text == "1S")
        #expect(headers.value(at: head.requestID)?.text == "id")
    }

    @Test("nothing where it does not count, however many there are", arguments: [1, 2, 3])
    func removed(count: Int) throws {
        for finding in [TokenFinding.invalid(.signature), .unavailable] {
            let values = (0..<count).map { "Bearer \($0)" }
            let fixture = try RequestFixture(Self.fields(values))
            #expect(fixture.exchange.head.hasSeveralAuthorizations == (count > 1))
            #expect(fixture.worker.settleToken(fixture.exchange, finding))
            #expect(Self.lines(of: fixture.exchange) == Self.expected())
            #expect(fixture.exchange.head.authorization < 0)
            Self.checkHead(fixture.exchange)
        }
    }

    @Test("claims, and the token where it is to be kept")
    func valid() throws {
        let entry = try TokenCacheTests.entry("t", headers: [("iss", "x-jwt-iss")])
        let fixture = try RequestFixture(Self.fields(["Bearer t"]))
        #expect(fixture.worker.settleToken(fixture.exchange, .valid(Borrowed(entry))))
        #expect(Self.lines(of: fixture.exchange) == Self.expected(["x-jwt-iss: i"]))
        Self.checkHead(fixture.exchange)
        let kept = try TokenCacheTests.entry("t", forwards: true)
        let second = try RequestFixture(Self.fields(["Bearer t"]))
        #expect(second.worker.settleToken(second.exchange, .valid(Borrowed(kept))))
        #expect(Self.lines(of: second.exchange).contains("authorization: Bearer t"))
        Self.checkHead(second.exchange)
    }

    @Test("what came, where there is no token")
    func none() throws {
        let fixture = try RequestFixture(Self.fields(["Basic x"]))
        #expect(fixture.worker.settleToken(fixture.exchange, .none))
        #expect(Self.lines(of: fixture.exchange).contains("authorization: Basic x"))
    }
}
