import Configuration
import Peers
import Proxy
import Rules
import Wire

/// The real worker between a client and a server that say whatever a script has, in virtual time.
///
/// What must hold: nothing is held for ever or left behind, the worker does not spin, and whatever
/// one side says the other hears HTTP/2 only (`HeardFrames`), the log plain lines, and the access
/// log each exchange once.
final class RawExchange {
    private let world: World
    private let script: RawScript
    private let worker: Worker
    private let log = EventLog()
    private let records = RecordedExchanges(workers: 1)
    private var clients: [RawEnd] = []
    private var servers: [RawEnd] = []
    private var clientStream: Int32 = -1
    /// What each of them was told, once it is over.
    private(set) var clientEvents: [[PeerEvent]] = []
    private(set) var serverEvents: [[PeerEvent]] = []
    var exchanges: UInt64 { worker.census.exchangesBegan }

    init(_ script: RawScript, _ configuration: RawConfiguration) {
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
        worker.mailbox.post(.install(configuration.installation(in: world), report: nil))
    }

    private var link: Link {
        var link = Link()
        link.delay = 0...10_000
        link.splitsFinely = script.splitsFinely
        link.pieceMax = script.splitsFinely ? 2_000 : 65_536
        return link
    }

    private static let stepNanoseconds: Int64 = 1_000_000
    /// Longer than any timer of the configuration.
    private static let restNanoseconds: Int64 = 400_000_000_000

    /// What is wrong, in words.
    func run() -> String? {
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
        let address = RawConfiguration.address(ofListener: script.door)
        clients.append(RawEnd(world.dial(address, from: source, link)))
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
        do throws(HeardFrames.Fault) {
            for client in clients { clientEvents.append(try HeardFrames.byClient(client.heard)) }
            for server in servers { serverEvents.append(try HeardFrames.byServer(server.heard)) }
            return nil
        } catch {
            return error.words
        }
    }

    private func logFault() -> String? {
        for entry in log.take().entries where entry.message.utf8.contains(where: { $0 < 0x20 }) {
            return "the log has a line with a control character: \(entry.message)"
        }
        return records.faults(worker: 0, exchanges: exchanges).first ?? records.faults.first
    }
}
