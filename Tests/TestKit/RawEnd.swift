/// One end of a connection that says bytes as they are, and keeps what it hears.
final class RawEnd: SocketOwner {
    let socket: SimulatedSocket
    private(set) var heard: [UInt8] = []
    /// The other side will say nothing any more.
    private(set) var isOver = false
    private var unsent: [UInt8] = []

    /// What is kept of what is heard.
    private static let heardMax = 1 << 20

    init(_ socket: SimulatedSocket) {
        self.socket = socket
        socket.owner = self
    }

    func say(_ bytes: [UInt8]) {
        unsent += bytes
        sayOn()
    }

    func socketChanged(_: SimulatedSocket) {
        sayOn()
        while !isOver {
            switch socket.read(limit: 65_536) {
            case .bytes(let bytes): if heard.count < Self.heardMax { heard += bytes }
            case .nothingYet: return
            case .ended, .failed: isOver = true
            }
        }
    }

    private func sayOn() {
        guard !unsent.isEmpty, socket.state == .connected else { return }
        guard let count = socket.write(unsent) else { return unsent = [] }
        unsent.removeFirst(count)
    }

    func end(byReset: Bool) {
        if !byReset { return socket.shutDown() }
        isOver = true
        socket.reset()
    }

    func close() {
        isOver = true
        socket.close()
    }
}
