import Configuration
import Peers
import Proxy
import Rules
import Synchronization
import Wire

/// The real proxy in a simulated world: its workers, each behind a `SimulatedSystem`.
final class ProxyHarness {
    let world: World
    private(set) var seats: [(worker: Worker, system: SimulatedSystem)] = []
    let log = EventLog()
    private let loads: WorkerLoads
    let counts = [UpstreamCounts(), UpstreamCounts(), UpstreamCounts()]
    private let mirrorCounts = UpstreamCounts()
    private var socket: ListeningSocket?
    /// Of a listener that nobody calls.
    private var elsewhere: ListeningSocket?
    private let tickets = TicketKeys()
    private var server: ServerTLS?
    private var client: ClientTLS?
    private var files: [String: [UInt8]] = [:]
    private lazy var materials = Materials(
        Materials.Source(
            read: { [unowned self] path in
                files[path].map { .success($0) }
                    ?? .failure(Materials.Failure("no such file in the simulation"))
            },
            isWorldReadable: { _ in false }, unixTime: { Mesh.begin }))
    private let closed = ClosedSockets()
    private let records: RecordedExchanges
    private var installations = 0
    /// What was asked of the proxy, and since when.
    private(set) var policies: [Oracle.Policy] = []
    private var turns = 0
    let origins: Int
    /// What the proxy logged, and what that says of endpoints.
    var lines: [String] = []
    var health = EndpointHistory()
    var lists = EndpointLists()
    var overloads: [Oracle.Overload] = []
    /// When all workers knew that nobody is to be checked any more.
    var checksOverAt = Int64.max
    private var buckets: BucketTable?
    /// Told to workers, of which some have not heard yet.
    private var told: [(waiting: Set<Int>, heard: (Int64) -> Void)] = []
    private(set) var isDraining = false

    init(_ world: World, workers: Int, origins: Int) {
        self.world = world
        self.origins = origins
        loads = WorkerLoads(workers: workers)
        records = RecordedExchanges(workers: workers)
        let closed = closed
        let descriptor = world.listen(Scenario.proxyAddress)
        socket = ListeningSocket(descriptor: descriptor) { closed.add($0) }
        let other = world.listen(.ipv4(address: 0x7F00_0001, port: 8_081))
        elsewhere = ListeningSocket(descriptor: other) { closed.add($0) }
        for index in 0..<workers {
            let system = SimulatedSystem(world)
            let worker = Worker(
                system: system, log: log, loads: loads, index: index, records: records.rings[index])
            loads.join(worker.mailbox, at: index)
            system.turn = { [unowned self] in
                worker.turn()
                look(at: index)
                heard(by: index)
                for descriptor in closed.take() { self.world.closeListener(descriptor) }
                turns += 1
                if turns % 64 == 0 {
                    checkMemory(of: worker)
                    records.look()
                }
            }
            system.nextDeadline = { worker.isOver ? nil : worker.nextDeadline }
            system.messagesWait = { !worker.isOver && !worker.mailbox.isEmpty }
            seats.append((worker, system))
        }
        tellFirstEndpoints()
        install()
        beginFeatures()
    }

    /// Posts a message to all workers, and says when the last has heard it.
    func tell(_ message: Mailbox.Message, _ heard: @escaping (Int64) -> Void = { _ in }) {
        let waiting = seats.indices.filter { !seats[$0].worker.isOver }
        for index in waiting { seats[index].worker.mailbox.post(message) }
        told.append((Set(waiting), heard))
    }

    private func heard(by worker: Int) {
        for index in told.indices {
            guard told[index].waiting.remove(worker) != nil, told[index].waiting.isEmpty else {
                continue
            }
            told[index].heard(world.now)
        }
        told.removeAll { $0.waiting.isEmpty }
    }

    /// Another snapshot: the same listener and upstreams, other routes.
    func install(_ heard: @escaping (Int64) -> Void = { _ in }) {
        guard let socket, let elsewhere else { return }
        installations += 1
        let policy = AccessPolicy(
            seed: world.seed, installation: installations, knowsPeers: world.clientsSpeakTLS)
        let mesh = MeshTerms(seed: world.seed, installation: installations)
        policies.append(Oracle.Policy(at: world.now, access: policy, mesh: mesh))
        prepareFiles(mesh)
        let isChecked = world.now < World.begin + CheckPlan.span
        let configuration = SimulatedConfiguration(
            world: world, origins: origins, number: installations, mesh: mesh, isChecked: isChecked)
        let text = configuration.text + policy.text
        let sources = [Source(name: "simulation.yaml", text: text)]
        let loaded = ConfigurationLoader.load(
            sources: sources, environment: [:], materials: materials)
        guard case .success(let snapshot, _) = loaded.outcome else {
            return world.fail("the simulation's configuration is refused: \(loaded.outcome)")
        }
        let installation = Installation(
            snapshot, sockets: [socket, elsewhere],
            counts: snapshot.upstreams.indices.map { $0 < origins ? counts[$0] : mirrorCounts },
            tls: tls(of: snapshot), buckets: buckets(of: snapshot))
        world.trace.note(world.now, "install", installations)
        tell(.install(installation, report: nil), heard)
    }

    /// Kept, as in the real process.
    private func buckets(of snapshot: Snapshot) -> [BucketTable] {
        snapshot.rateLimits.map { limit in
            let table = buckets ?? BucketTable(keys: limit.keys)
            buckets = table
            return table
        }
    }

    /// As in the real process, what means the same is kept.
    private func tls(of snapshot: Snapshot) -> Installation.TLS {
        let serverTerms = snapshot.listeners[0].tls
        if serverTerms?.digest != server?.terms.digest {
            server = serverTerms.flatMap { ServerTLS($0, tickets) }
        }
        let clientTerms = snapshot.upstreams[0].tls
        if clientTerms?.digest != client?.terms.digest {
            client = clientTerms.flatMap { ClientTLS($0) }
        }
        return Installation.TLS(
            servers: [server, nil],
            clients: snapshot.upstreams.map { $0.tls == nil ? nil : client })
    }

    /// Those that the configuration names; nobody else has them.
    private func prepareFiles(_ mesh: MeshTerms) {
        guard world.clientsSpeakTLS || world.originsSpeakTLS,
            case .success(let made) = Mesh.shared
        else { return }
        let identity = made.weir[mesh.identity]
        files["weir.crt"] = identity.certificate
        files["weir.key"] = identity.key
        let roots = Mesh.Root.allCases.filter { mesh.believed.contains($0) }
        files["ca.pem"] = Array(roots.compactMap { made.authorities[$0] }.joined())
    }

    func drain() {
        isDraining = true
        world.trace.note(world.now, "drain")
        tell(.drain(spread: 20_000_000, limit: Oracle.drainLimit))
        socket = nil
        elsewhere = nil
    }

    private static let segmentBytes = 4_096
    private static let windowBytesMax = 256 << 10

    /// Bodies that wait are bounded by what was granted: a window each way for every exchange.
    private func checkMemory(of worker: Worker) {
        let census = worker.census
        let bytes = census.segments * Self.segmentBytes
        let fair = (census.exchanges + 1) * 2 * (Self.windowBytesMax + Self.segmentBytes)
        if bytes > fair {
            world.fail("\(bytes) bytes are queued for \(census.exchanges) exchanges")
        }
    }

    /// What is still held when every connection has ended, in words.
    func leaks() -> [String] {
        var leaks: [String] = []
        for (index, seat) in seats.enumerated() {
            let census = seat.worker.census
            leaks += records.faults(worker: index, exchanges: census.exchangesBegan)
            if census.connections != 0 {
                leaks.append("worker \(index) still has \(census.connections) connections")
            }
            // One that has drained has ended its loop; what serves nobody goes with the process.
            if seat.worker.isOver { continue }
            let held = [
                ("exchanges", census.exchanges),
                ("upstream connections", census.upstreamConnections),
                ("waiting requests", census.waiting), ("timers", census.timers),
                ("segments", census.segments),
            ]
            for (what, count) in held where count != 0 {
                leaks.append("worker \(index) still has \(count) \(what)")
            }
            if census.generations > 1 {
                leaks.append("worker \(index) still has \(census.generations) generations")
            }
        }
        if world.openStreams > 0, !isDraining {
            leaks.append("\(world.openStreams) descriptors are open")
        }
        if mirrorCounts.mirrored.activeCount > 0, !isDraining {
            leaks.append("\(mirrorCounts.mirrored.activeCount) copies have not ended")
        }
        return leaks + records.faults
    }

    var logText: String { lines.joined(separator: "\n") }
}

/// Listening sockets that their last owner let go of, from whichever thread in real life.
private final class ClosedSockets: Sendable {
    private let descriptors = Mutex<[Int32]>([])

    func add(_ descriptor: Int32) { descriptors.withLock { $0.append(descriptor) } }

    func take() -> [Int32] {
        descriptors.withLock { descriptors in
            defer { descriptors = [] }
            return descriptors
        }
    }
}
