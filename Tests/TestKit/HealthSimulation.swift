import Configuration
import Peers
import Proxy
import Wire

/// The real proxy before servers that are in trouble at times, for minutes of virtual time: who got
/// calls when, and what callers got.
public final class HealthSimulation {
    private static let second: Int64 = 1_000_000_000
    public static let span = 300 * second
    /// Between calls.
    static let pace: Int64 = 100_000_000

    private let world: World
    private let log = EventLog()
    private let system: SimulatedSystem
    private let worker: Worker
    private let origins: [TroubledOrigin]
    private var client: SteadyClient?
    private var listening: ListeningSocket?

    /// - watched: terms of the upstream, in the configuration's language.
    public init(seed: UInt64, watched: String) {
        world = World(seed: seed)
        var chance = world.chance.split()
        let world = world
        origins = (0..<3).map { index in
            let address = SocketAddress.ipv4(address: 0x0A00_0001 + UInt32(index), port: 50_051)
            return TroubledOrigin(
                world, address, name: "\(index)", Self.periods(&chance, world.now, index))
        }
        system = SimulatedSystem(world)
        let loads = WorkerLoads(workers: 1)
        worker = Worker(system: system, log: log, loads: loads, index: 0)
        loads.join(worker.mailbox, at: 0)
        let worker = worker
        system.turn = { worker.turn() }
        system.nextDeadline = { worker.isOver ? nil : worker.nextDeadline }
        system.messagesWait = { !worker.isOver && !worker.mailbox.isEmpty }
        world.reachable = { [unowned self] address in
            origins.first { $0.address == address }?.reachability(Link()) ?? .refused
        }
        install(watched)
    }

    /// At most one origin is in trouble at a time, for a minute or two.
    private static func periods(
        _ chance: inout Chance, _ now: Int64, _ index: Int
    ) -> [TroubledOrigin.Period] {
        let from = now + (20 + 90 * Int64(index)) * second
        let length = chance.within(40...60) * Int64(second)
        return [
            TroubledOrigin.Period(
                trouble: chance.pick(TroubledOrigin.Trouble.allCases), from: from,
                until: from + length)
        ]
    }

    private func install(_ watched: String) {
        let text = """
            listeners: [{name: local, address: 127.0.0.1:8080}]
            upstreams:
              - name: echo
                endpoints: [10.0.0.1:50051, 10.0.0.2:50051, 10.0.0.3:50051]
            \(watched)
            routes: [{name: all, backends: [{upstream: echo}]}]
            access: {default: allow}
            """
        let loaded = ConfigurationLoader.load(
            sources: [Source(name: "simulation.yaml", text: text)], environment: [:])
        guard let snapshot = loaded.snapshot else {
            return world.fail("refused: \(loaded.diagnostics.map(\.description))")
        }
        let descriptor = world.listen(Scenario.proxyAddress)
        let socket = ListeningSocket(descriptor: descriptor) { _ in }
        listening = socket
        let installation = Installation(
            snapshot, sockets: [socket], counts: [UpstreamCounts()],
            tls: Installation.TLS(servers: [nil], clients: [nil]))
        worker.mailbox.post(.install(installation, report: nil))
    }

    /// What happened to the origins, in order of their periods, and what went wrong.
    public struct Report: Sendable {
        public struct Origin: Sendable {
            public let trouble: String
            /// Calls that came to it within its time of trouble, and how long after that the next.
            public let calls: Int
            public let returnedAfter: Int64?
            public let checks: Int
        }

        public let origins: [Origin]
        public let calls: Int
        public let failures: Int
        public let violations: [String]
        public let log: String
    }

    public func run() -> Report {
        let source = SocketAddress.ipv4(address: 0x0A01_0000, port: 40_000)
        let client = SteadyClient(
            .client, world, world.dial(Scenario.proxyAddress, from: source, Link()), .init(), Pace()
        )
        self.client = client
        client.keepCalling(every: Self.pace, until: world.now + Self.span)
        world.run(until: world.now + Self.span + 20 * Self.second)
        client.close()
        worker.mailbox.post(.drain(spread: 0, limit: Self.second))
        world.run(until: world.now + 5 * Self.second)
        for origin in origins { origin.close() }
        world.run(until: world.now + 10 * Self.second)
        if !worker.isOver { world.fail("the worker has not ended") }
        let report = Report(
            origins: origins.map(describe), calls: client.calls, failures: client.failures,
            violations: world.violations,
            log: log.take().entries.map(\.message).joined(separator: "\n"))
        world.end()
        return report
    }

    private func describe(_ origin: TroubledOrigin) -> Report.Origin {
        let period = origin.periods[0]
        let within = origin.calls.filter { period.from <= $0 && $0 < period.until }
        // A call that came as the trouble began is a moment's matter.
        let next = origin.calls.first { $0 >= period.until }
        return Report.Origin(
            trouble: "\(period.trouble)", calls: within.count,
            returnedAfter: next.map { $0 - period.until }, checks: origin.checks.count)
    }
}

/// A client that calls at a steady pace.
final class SteadyClient: PeerEnd {
    private(set) var calls = 0
    private(set) var failures = 0
    private var due = 0

    func keepCalling(every pace: Int64, until end: Int64) {
        world.after(pace) { [self] in
            guard !isOver, world.now < end else { return }
            due += 1
            wakeSoon()
            keepCalling(every: pace, until: end)
        }
    }

    override func act() {
        while due > 0 {
            due -= 1
            calls += 1
            let fields = [
                HeaderField(":method", "POST"), HeaderField(":scheme", "http"),
                HeaderField(":path", "/weir.echo.v1.Echo/Unary"),
                HeaderField(":authority", "echo.test"), HeaderField("te", "trailers"),
                HeaderField("grpc-timeout", "500m"),
                HeaderField("content-type", "application/grpc"),
            ]
            let stream = session.request(fields, isLast: false)
            session.send(stream, [0, 0, 0, 0, 0])
            session.finish(stream, trailers: [])
        }
    }

    override func received(_ event: PeerEvent) {
        switch event {
        case .headers(_, let kind, let fields):
            guard kind == .trailers || kind == .response, let code = fields.first("grpc-status")
            else { return }
            if code != "0" { failures += 1 }
        case .reset: failures += 1
        default: break
        }
    }
}
