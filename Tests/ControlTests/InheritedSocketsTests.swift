import Proxy
import Testing
import Wire

@testable import Control

@Suite struct InheritedSocketsTests {
    private let folder: LinuxFolder

    init() throws { folder = try LinuxFolder() }

    @Test(
        "a socket is found by its address", arguments: ["127.0.0.1:0", "[::1]:0", "path", "@name"])
    func found(text: String) throws {
        let owner = LinuxSocket.listening(on: try address(text))
        let real = LinuxSocket.address(of: owner.descriptor, orUnix: try address(text))
        let inherited = InheritedSockets(names: ["web"], first: owner.handOver())
        #expect(inherited.sockets.map(\.address) == [real])
        let first = try inherited.listen(on: real)
        let second = try inherited.listen(on: real)
        #expect(first.descriptor != second.descriptor)
        #expect(LinuxSocket.connecting(to: real).errno == 0)
        #expect(LinuxPoll.isReadable(first.descriptor) && LinuxPoll.isReadable(second.descriptor))
    }

    @Test("an address that was not handed over is bound")
    func other() throws {
        let owner = LinuxSocket.listening(on: try address("path"))
        let inherited = InheritedSockets(names: ["web"], first: owner.handOver())
        let other = SocketAddress.unix(path: folder.at("other"))
        let socket = try inherited.listen(on: other)
        #expect(LinuxSocket.connecting(to: other).errno == 0)
        let line = "inherited socket \(try address("path")) name=web has no listener: "
        #expect(inherited.unused(by: [other]) == [line + "nobody answers there"])
        #expect(inherited.unused(by: [other, try address("path")]) == [])
        withExtendedLifetime(socket) {}
    }

    @Test("what is no listening stream socket is left alone and named")
    func noSocket() throws {
        let client = LinuxSocket.connecting(to: try SocketAddress(parsing: "127.0.0.1:1")).0
        let inherited = InheritedSockets(names: ["odd"], first: client.descriptor)
        let expected =
            "inherited descriptor=\(client.descriptor) name=odd is no listening stream socket"
        #expect(inherited.unused(by: []) == [expected])
    }

    private func address(_ text: String) throws -> SocketAddress {
        if text == "path" { return .unix(path: folder.at("weir.sock")) }
        if text == "@name" { return .unix(path: "@\(folder.path)") }
        return try SocketAddress(parsing: text)
    }
}
