import Identity
import Peers
import TestKit
import Testing

/// The echo service in TLS, over real sockets of the loopback interface.
@Suite struct SecureEchoTests {
    private let web = Self.terms(TestCertificates.web, TestCertificates.webKey)
    private let orders = Self.terms(TestCertificates.orders, TestCertificates.ordersKey)

    private static func terms(_ certificate: String, _ key: String) -> PeerTLS.Terms {
        var terms = PeerTLS.Terms(
            certificate: Array(certificate.utf8), privateKey: Array(key.utf8),
            authorities: Array(TestCertificates.authority.utf8))
        terms.asksForCertificate = true
        return terms
    }

    private func name(_ certificate: [UInt8]?) -> String? {
        certificate.flatMap { try? Certificate(der: $0) }?.name
    }

    private func call(_ server: EchoServer, _ terms: PeerTLS.Terms?) -> CallRecord? {
        EchoCaller(port: server.port, authority: "echo.test", tls: terms)?
            .call(.unary, [EchoRequest(payload: [1])])
    }

    @Test("both ends know whom they speak with, and 1 MiB passes both ways")
    func bothProven() throws {
        let server = try #require(EchoServer(name: "one"))
        server.speakTLS(orders)
        server.start()
        defer { server.stop() }
        let caller = try #require(
            EchoCaller(port: server.port, authority: "echo.test", tls: web))
        let payload = [UInt8](repeating: 7, count: 1 << 20)
        let record = caller.call(.unary, [EchoRequest(payload: payload)])
        #expect(record.grpcStatus == 0)
        #expect(record.echoes == [EchoResponse(payload: payload, index: 0)])
        #expect(name(caller.serverCertificate) == "spiffe://mesh.example/orders")
        #expect(name(server.clientCertificate) == "spiffe://mesh.example/web")
    }

    @Test("nothing is answered where one end proves too little")
    func unproven() throws {
        let server = try #require(EchoServer(name: "one"))
        server.speakTLS(orders)
        server.start()
        defer { server.stop() }
        var nobody = web
        nobody.certificate = nil
        var stranger = web
        stranger.authorities = []
        for terms in [nobody, stranger, nil] {
            #expect(call(server, terms)?.headers.isEmpty ?? true)
        }
        #expect(server.calls == 0)
    }

    @Test("new terms are for new connections; open ones go on")
    func newTerms() throws {
        let server = try #require(EchoServer(name: "one"))
        server.speakTLS(orders)
        server.start()
        defer { server.stop() }
        let open = try #require(EchoCaller(port: server.port, authority: "echo.test", tls: web))
        let request = EchoRequest(payload: [1])
        #expect(open.call(.unary, [request]).grpcStatus == 0)
        var severe = orders
        severe.authorities = []
        server.speakTLS(severe)
        #expect(call(server, web)?.headers.isEmpty ?? true)
        #expect(open.call(.unary, [request]).grpcStatus == 0)
    }
}
