import Proxy
import Testing
import Wire

@testable import Control

/// Sockets that cross from one process to another, or pretend to.
@Suite struct HandedSocketTests {
    private let folder: LinuxFolder
    private let pair = LinuxPair()

    init() throws { folder = try LinuxFolder() }

    @Test("sockets arrive in their order, however many there are", arguments: [1, 2, 128, 300])
    func arrive(count: Int) throws {
        let owner = LinuxSocket.listening(on: .unix(path: folder.at("weir.sock")))
        let other = LinuxSocket.listening(on: .unix(path: folder.at("other.sock")))
        let sockets = (0..<count).map { LinuxPair.listening($0 % 3 == 0 ? owner : other) }
        #expect(DescriptorPassing.send(sockets, over: pair.first))
        let (bytes, descriptors) = LinuxPair.drain(pair.second)
        #expect(bytes == (count + 127) / 128 * 28)
        let announced = (0..<count).map { index in
            let name = index % 3 == 0 ? "weir.sock" : "other.sock"
            return HandOver.Socket(address: .unix(path: "\(folder.path)/\(name)"))
        }
        let handed = try HandedSocket.matching(announced, descriptors, "path")
        #expect(handed.map(\.address) == announced.map(\.address))
    }

    @Test("what is not as announced is refused, and closed")
    func mismatch() throws {
        let here = SocketAddress.unix(path: folder.at("weir.sock"))
        let owner = LinuxSocket.listening(on: here)
        let client = LinuxSocket.connecting(to: here).0
        let elsewhere = SocketAddress.unix(path: "/elsewhere")
        let cases: [([SocketAddress], [LinuxSocket], String)] = [
            ([here, elsewhere], [owner], "p: 2 sockets are announced, and 1 came"),
            ([], [owner], "p: 0 sockets are announced, and 1 came"),
            ([elsewhere], [owner], "p: what came for \(elsewhere) is \(here)"),
            ([here], [client], "p: what came for \(here) is no listening stream socket"),
            (
                [here, here], [owner, client],
                "p: what came for \(here) is no listening stream socket"
            ),
        ]
        for (announced, sockets, words) in cases {
            let descriptors = UnclaimedDescriptors()
            descriptors.add(sockets.map { $0.handOver() })
            #expect(throws: TakeoverFailure.refused(words)) {
                try HandedSocket.matching(
                    announced.map { HandOver.Socket(address: $0) }, descriptors, "p")
            }
        }
    }

    @Test("what is refused is closed")
    func closes() throws {
        let here = SocketAddress.unix(path: folder.at("weir.sock"))
        do {
            let owner = LinuxSocket.listening(on: here)
            let descriptors = UnclaimedDescriptors()
            descriptors.add([owner.handOver(), owner.handOver()])
            #expect(throws: TakeoverFailure.self) {
                try HandedSocket.matching([HandOver.Socket(address: here)], descriptors, "p")
            }
        }
        #expect(LinuxSocket.connecting(to: here).errno != 0)
    }

    @Test("bytes without descriptors are bytes, and an end is an end")
    func plain() {
        LinuxPair.write("abc", to: pair.first)
        let (bytes, descriptors) = LinuxPair.drain(pair.second)
        #expect(bytes == 3 && descriptors.count == 0)
        guard case .nothingYet = DescriptorPassing.receive(over: pair.second) else {
            Issue.record("something came")
            return
        }
    }

    @Test("a handed socket is its first listener's, and one that nobody wants is closed")
    func inherited() throws {
        let wanted = SocketAddress.unix(path: folder.at("wanted"))
        let unwanted = SocketAddress.unix(path: folder.at("unwanted"))
        let kept = SocketAddress.unix(path: folder.at("kept"))
        let inherited = InheritedSockets(names: [])
        do {
            let owners = [wanted, unwanted, kept].map { LinuxSocket.listening(on: $0) }
            let sockets = owners.map { LinuxPair.listening($0) }
            inherited.add([
                HandedSocket(address: wanted, supervisedName: nil, socket: sockets[0]),
                HandedSocket(address: unwanted, supervisedName: nil, socket: sockets[1]),
                HandedSocket(address: kept, supervisedName: "web", socket: sockets[2]),
            ])
        }
        let socket = try inherited.listen(on: wanted)
        #expect(inherited.releaseHanded() == [unwanted])
        #expect(LinuxSocket.connecting(to: wanted).errno == 0)
        #expect(LinuxSocket.connecting(to: unwanted).errno != 0)
        withExtendedLifetime(socket) {}
        // A supervisor's stays, for a listener that comes later.
        #expect(inherited.sockets.map(\.name) == ["web"])
        #expect(inherited.supervised.map(\.address) == [kept])
        _ = try inherited.listen(on: kept)
        #expect(LinuxSocket.connecting(to: kept).errno == 0)
    }

    @Test("a takeover waits until all is known, and not for ever")
    func preparing() {
        let facts = HandOver(instance: "a", processID: 1, version: "0", sockets: [])
        var takeover = Takeover(Predecessor(path: "p", facts: facts), now: 5)
        let early = takeover.begins(at: 6)
        var settled = takeover
        settled.isSettled = true
        let begins = [settled.begins(at: 6), settled.begins(at: 7)]
        let last = 5 + Takeover.patienceNanoseconds
        let late = [takeover.begins(at: last - 1), takeover.begins(at: last)]
        #expect(!early && begins == [true, false] && late == [false, true])
        #expect(!settled.isPreparing)
    }
}
