import Proxy
import Testing
import Wire

@testable import Control

@Suite struct SocketsTests {
    private let folder: LinuxFolder

    init() throws { folder = try LinuxFolder() }

    @Test("clients can connect to what is listened on", arguments: ["127.0.0.1:0", "[::1]:0"])
    func listens(text: String) throws {
        let socket = try Sockets.listen(on: SocketAddress(parsing: text))
        let address = LinuxSocket.address(of: socket.descriptor)
        #expect(LinuxSocket.connecting(to: address).errno == 0)
    }

    @Test("[::] takes IPv4 clients as well")
    func bothFamilies() throws {
        let socket = try Sockets.listen(on: SocketAddress(parsing: "[::]:0"))
        guard case .ipv6(_, _, let port) = LinuxSocket.address(of: socket.descriptor) else {
            Issue.record("not an IPv6 address")
            return
        }
        let client = try SocketAddress(parsing: "127.0.0.1:\(port)")
        #expect(LinuxSocket.connecting(to: client).errno == 0)
    }

    @Test("a unix socket is listened on, by path or by name", arguments: [true, false])
    func unix(isAbstract: Bool) throws {
        let path = folder.at("weir.sock")
        let address = SocketAddress.unix(path: isAbstract ? "@\(path)" : path)
        let socket = try Sockets.listen(on: address)
        #expect(folder.exists("weir.sock") == !isAbstract)
        #expect(LinuxSocket.connecting(to: address).errno == 0)
        withExtendedLifetime(socket) {}
    }

    @Test("the file of a socket that nobody listens on any more is replaced")
    func stale() throws {
        let address = SocketAddress.unix(path: folder.at("weir.sock"))
        _ = try Sockets.listen(on: address)
        #expect(folder.exists("weir.sock"))
        let socket = try Sockets.listen(on: address)
        #expect(LinuxSocket.connecting(to: address).errno == 0)
        withExtendedLifetime(socket) {}
    }

    @Test("an address in use is refused with words")
    func inUse() throws {
        let path = folder.at("weir.sock")
        for address in [.unix(path: path), try SocketAddress(parsing: "127.0.0.1:0")] {
            let socket = try Sockets.listen(on: address)
            let taken =
                address.isUnixPath ? address : LinuxSocket.address(of: socket.descriptor)
            let error = #expect(throws: ListenError.self) { try Sockets.listen(on: taken) }
            #expect(error?.description == "cannot listen on \(taken): Address already in use")
            #expect(LinuxSocket.connecting(to: taken).errno == 0)
            withExtendedLifetime(socket) {}
        }
    }

    @Test("a socket whose queue is full is in use, and finding that out waits for nobody")
    func fullQueue() throws {
        let address = SocketAddress.unix(path: folder.at("weir.sock"))
        let owner = LinuxSocket.listening(on: address)
        let first = LinuxSocket.connecting(to: address)
        #expect(first.errno == 0)
        #expect(throws: ListenError.self) { try Sockets.listen(on: address) }
        #expect(folder.exists("weir.sock"))
        #expect(owner.descriptor >= 0 && first.0.descriptor >= 0)
    }

    @Test("a file that is no socket stays, and a folder that is missing is named")
    func noSocket() throws {
        let path = folder.write("weir.yaml", "text")
        #expect(throws: ListenError.self) { try Sockets.listen(on: .unix(path: path)) }
        #expect(folder.exists("weir.yaml"))
        let missing = SocketAddress.unix(path: "\(folder.path)/run/weir.sock")
        let error = #expect(throws: ListenError.self) { try Sockets.listen(on: missing) }
        #expect(error?.description == "cannot listen on \(missing): No such file or directory")
    }
}

extension SocketAddress {
    fileprivate var isUnixPath: Bool { if case .unix = self { true } else { false } }
}
