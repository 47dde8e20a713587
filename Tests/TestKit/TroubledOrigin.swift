import Peers
import Wire

/// A server that is in trouble at times, and knows who asked it when.
final class TroubledOrigin {
    enum Trouble: CaseIterable {
        /// Calls end with INTERNAL, in trailers behind a message.
        case fails
        /// It takes calls, and never answers.
        case hangs
        /// It takes no connections, and has lost those it had.
        case isGone
        /// It says so itself where it is asked, and serves all the same.
        case saysNo
    }

    struct Period {
        let trouble: Trouble
        let from: Int64
        let until: Int64
    }

    let world: World
    let address: SocketAddress
    let name: String
    let periods: [Period]
    private var connections: [TroubledConnection] = []
    /// When calls came; checks are no calls.
    private(set) var calls: [Int64] = []
    private(set) var checks: [Int64] = []

    init(_ world: World, _ address: SocketAddress, name: String, _ periods: [Period]) {
        self.world = world
        self.address = address
        self.name = name
        self.periods = periods
        for period in periods where period.trouble == .isGone {
            world.after(period.from - world.now) { [unowned self] in
                for connection in connections { connection.socket.cutConnection(byReset: true) }
                connections = []
            }
        }
    }

    var trouble: Trouble? {
        periods.first { $0.from <= world.now && world.now < $0.until }?.trouble
    }

    func reachability(_ link: Link) -> World.Reachability {
        if trouble == .isGone { return .refused }
        return .accepts(link) { [unowned self] socket in
            let connection = TroubledConnection(.server, world, socket, .init(), Pace())
            connection.origin = self
            connections.append(connection)
            connection.wakeSoon()
        }
    }

    func close() {
        for connection in connections { connection.close() }
        connections = []
    }

    fileprivate func noteCall(isCheck: Bool) {
        if isCheck { checks.append(world.now) } else { calls.append(world.now) }
    }
}

final class TroubledConnection: PeerEnd {
    weak var origin: TroubledOrigin?
    private var paths: [Int32: String] = [:]

    override func received(_ event: PeerEvent) {
        switch event {
        case .headers(let stream, .request, let fields): paths[stream] = fields.first(":path") ?? ""
        case .end(let stream): answer(stream)
        case .closed(let stream, _): paths[stream] = nil
        default: break
        }
    }

    private func answer(_ stream: Int32) {
        guard let origin, let path = paths[stream] else { return }
        let isCheck = path.contains("grpc.health")
        origin.noteCall(isCheck: isCheck)
        let trouble = origin.trouble
        if trouble == .hangs { return }
        world.after(world.chance.within(100_000...5_000_000)) { [self] in
            guard !isOver, paths[stream] != nil else { return }
            let fields = [
                HeaderField(":status", "200"), HeaderField("content-type", "application/grpc"),
                HeaderField("x-origin", origin.name),
            ]
            session.respond(stream, fields, isLast: false)
            let status: HealthMessage.Status = trouble == .saysNo ? .notServing : .serving
            session.send(stream, isCheck ? HealthMessage.response(status) : [0, 0, 0, 0, 0])
            let code = trouble == .fails ? "13" : "0"
            session.finish(stream, trailers: [HeaderField("grpc-status", code)])
            wakeSoon()
        }
    }
}
