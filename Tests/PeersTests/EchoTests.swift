import Peers
import Testing

/// Over real sockets of the loopback interface.
@Suite struct EchoTests {
    @Test("each call shape is answered as the echo service promises", arguments: [1, 3, 50])
    func shapes(count: Int) throws {
        let server = try #require(EchoServer(name: "one"))
        server.start()
        defer { server.stop() }
        let caller = try #require(EchoCaller(port: server.port, authority: "echo.test"))
        let requests = (0..<count).map { index in
            var terms = EchoTerms()
            terms.responseCount = UInt32(count)
            return EchoRequest(payload: [UInt8](repeating: UInt8(index), count: 700), terms: terms)
        }
        let joined = requests.flatMap(\.payload)
        let unary = caller.call(.unary, [requests[0]])
        #expect(unary.end == .complete && unary.grpcStatus == 0)
        #expect(unary.headers.first("x-served-by") == "one")
        #expect(unary.echoes == [EchoResponse(payload: requests[0].payload, index: 0)])
        let stream = caller.call(.clientStream, requests)
        #expect(stream.echoes == [EchoResponse(payload: joined, index: 0)])
        let answers = caller.call(.serverStream, [requests[0]])
        #expect(answers.echoes?.map(\.index) == (0..<UInt32(count)).map { $0 })
        let bidi = caller.call(.bidi, requests)
        #expect(bidi.echoes?.map(\.payload) == requests.map(\.payload))
        #expect(server.calls == 4)
    }

    @Test("a call fails with the status that its terms name, at once or after its answers")
    func failures() throws {
        let server = try #require(EchoServer(name: "one"))
        server.start()
        defer { server.stop() }
        let caller = try #require(EchoCaller(port: server.port, authority: "echo.test"))
        var terms = EchoTerms()
        terms.statusCode = 9
        terms.statusMessage = "no"
        let late = caller.call(.unary, [EchoRequest(payload: [1], terms: terms)])
        #expect(late.grpcStatus == 9 && late.grpcMessage == "no" && late.echoes?.count == 1)
        terms.failsAtOnce = true
        let early = caller.call(.unary, [EchoRequest(payload: [1], terms: terms)])
        #expect(early.grpcStatus == 9 && early.echoes?.count == 0)
        let unknown = caller.request(
            "POST", "/weir.echo.v1.Echo/Nothing",
            fields: [HeaderField("content-type", "application/grpc")], body: [0, 0, 0, 0, 0])
        #expect(unknown.grpcStatus == 12)
    }

    @Test("a call goes on while requests and answers alternate, and ends with its connection")
    func alternating() throws {
        let server = try #require(EchoServer(name: "one"))
        server.start()
        defer { server.stop() }
        let caller = try #require(EchoCaller(port: server.port, authority: "echo.test"))
        let stream = caller.begin(.bidi)
        for index in 1...5 {
            let record = caller.send(stream, EchoRequest(payload: [7]), awaiting: index)
            #expect(record.echoes?.count == index && record.end == nil)
        }
        server.closeAll()
        let record = caller.finish(stream)
        guard case .lost = record.end else {
            Issue.record("ended as \(String(describing: record.end))")
            return
        }
        #expect(!caller.takesCalls)
    }

    @Test("anything but gRPC gets its body back, and a line of trailers")
    func plain() throws {
        let server = try #require(EchoServer(name: "one"))
        server.start()
        defer { server.stop() }
        let caller = try #require(EchoCaller(port: server.port, authority: "echo.test"))
        let record = caller.request("PUT", "/files/1", body: Array("words".utf8))
        #expect(record.status == 200 && record.body == Array("words".utf8))
        #expect(record.trailers.first("x-bytes") == "5")
    }
}
