import Configuration
import Proxy
import Rules
import Wire

/// The real worker between a client and a server that say whatever a script has, in virtual time.
///
/// What must hold: nothing is held for ever or left behind, the worker does not spin, and whatever
/// one side says the other hears HTTP/2 only (`HeardFrames`), the log plain lines, and the access
/// log each exchange once.
public final class RawExchange {
    private let world: World
    private let script: RawScript
    private let worker: Worker
    private let log = EventLog()
    private let records = RecordedExchanges(workers: 1)
    private var clients: [RawEnd] = []
    private var servers: [RawEnd] = []
    private var clientStream: Int32 = -1

    /// What is wrong, in words.
    public static func fault(_ bytes: [UInt8]) -> String? {
        guard case .success(let snapshot) = snapshot else { return "\(snapshot)" }
        return RawExchange(RawScript(bytes), snapshot).run()
    }

    private init(_ script: RawScript, _ snapshot: Snapshot) {
        self.script = script
        world = World(seed: script.seed)
        let system = SimulatedSystem(world)
        let loads = WorkerLoads(workers: 1)
        let worker = Worker(
            system: system, log: log, loads: loads, index: 0, records: records.rings[0])
        loads.join(worker.mailbox, at: 0)
        system.turn = { worker.turn() }
        system.nextDeadline = { worker.isOver ? nil : worker.nextDeadline }
        system.messagesWait = { !worker.isOver && !worker.mailbox.isEmpty }
        self.worker = worker
        world.reachable = { [unowned self] _ in
            .accepts(link, accepted: { [unowned self] in accepted($0) })
        }
        let sockets = RawScript.Door.allCases.map { door in
            ListeningSocket(descriptor: world.listen(Self.address(of: door))) { _ in }
        }
        worker.mailbox.post(
            .install(
                Installation(
                    snapshot, sockets: sockets, counts: [UpstreamCounts()],
                    tls: Installation.TLS(servers: [nil, nil, nil], clients: [nil]),
                    buckets: snapshot.rateLimits.map { BucketTable(keys: $0.keys) }),
                report: nil))
    }

    private var link: Link {
        var link = Link()
        link.delay = 0...10_000
        link.splitsFinely = script.splitsFinely
        link.pieceMax = script.splitsFinely ? 2_000 : 65_536
        return link
    }

    private static func address(of door: RawScript.Door) -> SocketAddress {
        .ipv4(address: 0x7F00_0001, port: 8_080 + UInt16(door.rawValue))
    }

    private static let stepNanoseconds: Int64 = 1_000_000
    /// Longer than any timer of the configuration.
    private static let restNanoseconds: Int64 = 400_000_000_000

    private func run() -> String? {
        world.run(until: world.now + Self.stepNanoseconds)
        dial()
        for step in script.steps where world.violations.isEmpty {
            take(step)
            world.run(until: world.now + Self.stepNanoseconds)
        }
        world.run(until: world.now + Self.restNanoseconds)
        let held = heldFault()
        for end in clients + servers { end.close() }
        world.run(until: world.now + Self.restNanoseconds)
        let fault = world.violations.first ?? held ?? leftFault() ?? heardFault() ?? logFault()
        world.end()
        return fault
    }

    // MARK: The two sides

    private func dial() {
        // A client whose script dials without end is no more of a finding than one with some.
        guard clients.count < 20 else { return }
        let source = SocketAddress.ipv4(address: 0x0A01_0001, port: 40_000 + UInt16(clients.count))
        let socket = world.dial(Self.address(of: script.door), from: source, link)
        clients.append(RawEnd(socket))
        clientStream = -1
        if script.clientGreets { clients.last?.say(RawFrames.preface + RawFrames.settings) }
    }

    private func accepted(_ socket: SimulatedSocket) {
        let end = RawEnd(socket)
        servers.append(end)
        if script.serverGreets { end.say(RawFrames.settings) }
    }

    private func take(_ step: RawScript.Step) {
        switch step {
        case .client(let bytes): clients.last?.say(bytes)
        case .server(let bytes): servers.last?.say(bytes)
        case .passes(let time): world.run(until: world.now + time)
        case .clientFrames(255): clients.last?.end(byReset: true)
        case .clientFrames(254): clients.last?.end(byReset: false)
        case .clientFrames(253): dial()
        case .clientFrames(let number):
            let opens = number % 16 < 6
            if opens { clientStream += 2 }
            clients.last?.say(RawFrames.ofClient(number, max(1, clientStream)))
        case .serverFrames(255): servers.last?.end(byReset: true)
        case .serverFrames(254): servers.last?.end(byReset: false)
        case .serverFrames(let number):
            servers.last?.say(RawFrames.ofServer(number, Int32(1 + number / 16 % 4 * 2)))
        }
    }

    // MARK: What must hold

    /// A client that has asked for nothing that goes on is let go.
    private func heldFault() -> String? {
        guard worker.census.exchanges == 0, let index = clients.firstIndex(where: { !$0.isOver })
        else { return nil }
        return "client \(index) is held though it has nothing to wait for"
    }

    private func leftFault() -> String? {
        let census = worker.census
        let left = [
            ("connections", census.connections), ("exchanges", census.exchanges),
            ("waiting requests", census.waiting), ("segments", census.segments),
        ]
        return left.first { $0.1 != 0 }.map { "\($0.1) \($0.0) are left" }
    }

    private func heardFault() -> String? {
        for client in clients {
            if let fault = HeardFrames.clientFault(client.heard) { return fault }
        }
        for server in servers {
            if let fault = HeardFrames.serverFault(server.heard) { return fault }
        }
        return nil
    }

    private func logFault() -> String? {
        for entry in log.take().entries where entry.message.utf8.contains(where: { $0 < 0x20 }) {
            return "the log has a line with a control character: \(entry.message)"
        }
        return records.faults(worker: 0, exchanges: worker.census.exchangesBegan).first
            ?? records.faults.first
    }
}

// MARK: The configuration

extension RawExchange {
    struct Refused: Error {
        let words: String
    }

    private static let snapshot: Result<Snapshot, Refused> = {
        let sources = [Source(name: "raw.yaml", text: text)]
        let loaded = ConfigurationLoader.load(sources: sources, environment: [:])
        guard case .success(let snapshot, _) = loaded.outcome else {
            return .failure(Refused(words: "\(loaded.outcome)"))
        }
        return .success(snapshot)
    }()

    /// A little of everything that a request passes.
    private static let text = """
        listeners:
          - {name: plain, address: 127.0.0.1:8080, request_id: make, trusted_proxies: [10.1.0.0/16]}
          - name: one
            address: 127.0.0.1:8081
            proxy_protocol: v1
            proxy_protocol_from: [10.1.0.0/16]
          - name: two
            address: 127.0.0.1:8082
            proxy_protocol: v2
            proxy_protocol_from: [10.1.0.0/16]
            paths: relaxed
        upstreams:
          - name: origin
            endpoints: [10.0.0.1:50051, 10.0.0.2:50051]
            balance: {algorithm: ring_hash, hash: [{header: x-key}, {source: true}]}
            ejection: {consecutive_failures: 3}
        rate_limits:
          - {name: all, rate: 100/s, burst: 50, by: [client, {header: x-tenant}], keys: 1000}
        routes:
          - name: echo
            listeners: [plain, one, two]
            matches: [{method: weir.echo.v1.Echo/*}]
            backends: [{upstream: origin}]
            message_limits: {request: 4KiB}
            retry: {attempts: 3, codes: [UNAVAILABLE]}
          - name: hedged
            listeners: [plain, one, two]
            matches: [{method: weir.echo.v1.Echo/Hedged}]
            backends: [{upstream: origin}]
            retry: {attempts: 2, codes: [UNAVAILABLE], hedge: 40ms}
          - name: moved
            listeners: [plain, one, two]
            matches: [{path: /old}]
            redirect: {status: 301, hostname: new.example}
          - name: files
            listeners: [plain, one, two]
            matches: [{path: {prefix: /files}}]
            backends: [{upstream: origin}]
            rewrite: {path_prefix: /data}
            timeout: 5s
            rate_limits: [all]
            request_headers: {set: {x-set: a}, remove: [x-gone]}
            response_headers: {add: {x-added: b}}
          - name: robots
            listeners: [plain, one, two]
            matches: [{path: /robots.txt}]
            respond: {status: 200, body: "User-agent: *"}
        access:
          default: allow
          rules:
            - name: keep-out
              http: ["* /secret"]
              deny: [{headers: {x-user: {exact: mallory}}}]
        access_log: {file: stdout}
        """
}
