import Peers
import Wire

/// One copy of a call as it came to the mirror.
final class CopyRecord {
    let startedAt: Int64
    let fields: [HeaderField]
    var bytes: [UInt8] = []
    var trailers: [HeaderField] = []
    var isEnded = false

    init(_ fields: [HeaderField], at time: Int64) {
        self.fields = fields
        startedAt = time
    }
}

/// A server whose answers nobody sees.
final class SimulatedMirror {
    static let address = SocketAddress.unix(path: "/run/mirror.sock")

    let world: World
    let plan: MirrorPlan
    let calls: [Call]
    private var connections: [MirrorConnection] = []

    init(_ world: World, _ plan: MirrorPlan, _ calls: [Call]) {
        self.world = world
        self.plan = plan
        self.calls = calls
    }

    var reachability: World.Reachability {
        if plan.conduct == .refuses { return .refused }
        return .accepts(plan.link) { [unowned self] socket in
            if plan.conduct == .babbles {
                _ = socket.write(Array("SSH-2.0-OpenSSH_9.2\r\n".utf8))
                return
            }
            let connection = MirrorConnection(.server, world, socket, .init(), Pace())
            connection.mirror = self
            connections.append(connection)
            connection.wakeSoon()
        }
    }

    func close() {
        for connection in connections where !connection.isOver {
            connection.socket.cutConnection(byReset: true)
        }
    }
}

final class MirrorConnection: PeerEnd {
    weak var mirror: SimulatedMirror?
    private var copies: [Int32: CopyRecord] = [:]
    private var isEnding = false

    override func received(_ event: PeerEvent) {
        switch event {
        case .headers(let stream, .request, let fields): begin(stream, fields)
        case .headers(let stream, _, let fields): copies[stream]?.trailers = fields
        case .data(let stream, let bytes): copies[stream]?.bytes.append(contentsOf: bytes)
        case .end(let stream):
            copies[stream]?.isEnded = true
            answer(stream)
        case .closed(let stream, _): copies[stream] = nil
        default: break
        }
    }

    private func begin(_ stream: Int32, _ fields: [HeaderField]) {
        guard let mirror, let number = fields.first("x-call").flatMap({ Int($0) }),
            mirror.calls.indices.contains(number)
        else { return world.fail("a copy of a request that nobody made: \(fields)") }
        let copy = CopyRecord(fields, at: world.now)
        world.trace.note(world.now, "copy", number, socket.connection, Int(stream))
        mirror.calls[number].copies.append(copy)
        copies[stream] = copy
    }

    private func answer(_ stream: Int32) {
        guard let mirror else { return }
        world.after(world.chance.within(0...5_000_000)) { [self] in
            guard !isOver, copies[stream] != nil else { return }
            answer(stream, mirror.plan.conduct)
            wakeSoon()
        }
    }

    private func answer(_ stream: Int32, _ conduct: MirrorPlan.Conduct) {
        switch conduct {
        case .hangs, .refuses, .babbles: break
        case .resets: session.reset(stream, ErrorCode.internalError)
        case .cuts:
            guard !isEnding else { return }
            isEnding = true
            socket.cutConnection(byReset: true)
        case .floods: respond(stream, [UInt8](repeating: 7, count: 400_000))
        case .answers: respond(stream, [0, 0, 0, 0, 0])
        }
    }

    private func respond(_ stream: Int32, _ body: [UInt8]) {
        let fields = [
            HeaderField(":status", "200"), HeaderField("content-type", "application/grpc"),
        ]
        session.respond(stream, fields, isLast: false)
        session.send(stream, body)
        session.finish(stream, trailers: [HeaderField("grpc-status", "0")])
    }
}

extension Oracle {
    /// A copy is what the servers get, whole or not at all, and there is one at most.
    func judgeCopies(_ call: Call) -> [String] {
        if call.copies.isEmpty { return [] }
        guard features.mirror != nil, call.copies.count == 1, let copy = call.copies.first else {
            return ["\(call.copies.count) copies came to the mirror"]
        }
        var faults: [String] = []
        let policies = policies(from: call.sentAt, to: copy.startedAt)
        if !policies.contains(where: { isAdmitted(call, by: $0) }) {
            faults.append("its copy got past the access rules")
        }
        let plan = call.plan
        let isPart = plan.request.starts(with: copy.bytes)
        if !isPart || copy.isEnded && copy.bytes.count != plan.request.count {
            faults.append("its copy has other bytes")
        }
        if !isSame(plan.fields, copy.fields) { faults.append("its copy has other fields") }
        if copy.isEnded, !isSame(plan.trailers, copy.trailers) {
            faults.append("its copy has other trailers")
        }
        if copy.fields.first(":path") != plan.path || copy.fields.first(":method") != plan.method {
            faults.append("its copy has another path or method")
        }
        let hasTimeout = copy.fields.first("grpc-timeout") != nil
        if copy.fields.first("x-weir-mirrored") != "1" || copy.fields.first("via") == nil
            || copy.fields.first("grpc-previous-rpc-attempts") != nil
            || hasTimeout != plan.isGRPC
        {
            faults.append("its copy says other things of itself: \(copy.fields)")
        }
        return faults
    }
}
