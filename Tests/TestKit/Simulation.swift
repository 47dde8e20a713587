import Peers
import Wire

/// What became of one seed.
public struct SimulationReport: Sendable {
    public let seed: UInt64
    public let digest: UInt64
    public let steps: Int
    public let calls: Int
    /// How the calls ended, counted: complete, otherwise.
    public let complete: Int
    /// How often what features are for came about.
    public let occurrences: Occurrences
    public let violations: [String]
    /// The last lines of the trace, and what the proxy logged.
    public var tail: String

    public var text: String {
        "seed \(seed): " + violations.joined(separator: "\n  ") + "\n" + tail
    }
}

/// Runs one seed's history and judges it.
public final class Simulation {
    let world: World
    let scenario: Scenario
    private(set) var calls: [Call] = []
    private var clients: [SimulatedClient] = []
    private(set) var origins: [SimulatedOrigin] = []
    private var mirror: SimulatedMirror?
    var oracle = Oracle()
    private var isClosing = false

    init(seed: UInt64) {
        world = World(seed: seed)
        var chance = world.chance.split()
        scenario = Scenario(&chance)
        calls = scenario.calls.enumerated().map { Call(id: $0.offset, plan: $0.element) }
        for (index, plans) in scenario.origins.enumerated() {
            let address = Scenario.originAddresses[index]
            let shown = scenario.originCredentials
            let credential = shown.indices.contains(index) ? shown[index] : nil
            origins.append(SimulatedOrigin(world, address, plans, calls, showing: credential))
        }
        world.clientsSpeakTLS = scenario.clientsSpeakTLS
        world.originsSpeakTLS = scenario.originsSpeakTLS
        world.proxyProtocol = scenario.proxyProtocol
        world.retry = scenario.retry
        world.features = scenario.features
        oracle.learn(scenario)
        mirror = scenario.features.mirror.map { SimulatedMirror(world, $0, calls) }
        world.reachable = { [unowned self] in reachability(of: $0) }
    }

    /// Clients and origins with nothing between: the world's own test.
    public static func runDirectly(seed: UInt64) -> SimulationReport {
        let simulation = Simulation(seed: seed)
        simulation.oracle.isDirect = true
        simulation.world.originsSpeakTLS = simulation.world.clientsSpeakTLS
        simulation.world.showsLastingCertificates = true
        simulation.world.proxyProtocol = nil
        let origin = simulation.origins[0]
        simulation.world.directDoor = { origin.accept($0, Place(upstream: 0, origin: 0)) }
        return simulation.run()
    }

    /// The real workers between clients and origins.
    public static func run(seed: UInt64) -> SimulationReport {
        let simulation = Simulation(seed: seed)
        let scenario = simulation.scenario
        let harness = ProxyHarness(
            simulation.world, workers: scenario.workers, origins: scenario.origins.count)
        simulation.disturb(harness)
        var report = simulation.run {
            simulation.oracle.learn(harness, of: simulation)
            simulation.oracle.clientsSpeakTLS = scenario.clientsSpeakTLS
            simulation.oracle.originsSpeakTLS = scenario.originsSpeakTLS
        } finish: {
            for leak in harness.leaks() { simulation.world.fail(leak) }
        }
        if !report.violations.isEmpty { report.tail += harness.logText }
        return report
    }

    private func disturb(_ harness: ProxyHarness) {
        for (delay, disturbance) in scenario.disturbances {
            world.after(delay) { [unowned self] in
                switch disturbance {
                case .reload: harness.install()
                case .drain:
                    harness.drain()
                    oracle.drainedAt = oracle.drainedAt ?? world.now
                case .lackOfDescriptors(let nanoseconds):
                    world.lacksDescriptors = true
                    oracle.lackedDescriptors = true
                    oracle.unavailableIsFair = true
                    world.after(nanoseconds) { [unowned self] in world.lacksDescriptors = false }
                }
            }
        }
    }

    func run(
        beforeJudging: () -> Void = {}, finish: () -> Void = {}
    ) -> SimulationReport {
        startClients()
        let deadline = world.now + 60_000_000_000
        world.run(until: deadline)
        closeOrigins()
        world.run(until: world.now + 40_000_000_000)
        for client in clients { client.close() }
        world.run(until: world.now + 20_000_000_000)
        beforeJudging()
        judge()
        finish()
        let report = SimulationReport(
            seed: world.seed, digest: world.trace.digest, steps: world.trace.count,
            calls: calls.count, complete: calls.count { $0.outcome == .complete },
            occurrences: Occurrences(calls, oracle, world.sightings),
            violations: world.violations, tail: world.violations.isEmpty ? "" : world.trace.tail)
        world.end()
        return report
    }

    private func startClients() {
        var next = 0
        for (index, plan) in scenario.clients.enumerated() {
            let address = 0x0A01_0000 + UInt32(index)
            let source = SocketAddress.ipv4(address: address, port: 40_000 + UInt16(index))
            for call in calls[next..<next + plan.calls.count] {
                call.source = address
                call.credential = plan.credential
            }
            let client = SimulatedClient(
                world, plan, dials: Scenario.proxyAddress, from: source)
            clients.append(client)
            client.start(Array(calls[next..<next + plan.calls.count]))
            next += plan.calls.count
        }
    }

    private func reachability(of address: SocketAddress) -> World.Reachability {
        if address == SimulatedMirror.address, let mirror, !isClosing { return mirror.reachability }
        guard let place = Place(address), origins.indices.contains(place.origin), !isClosing else {
            return .refused
        }
        let origin = origins[place.origin]
        if world.chance.hits(percent: scenario.failedConnects) {
            origin.hasFailed = true
            return world.chance.pick([.refused, .unreachable, .silent])
        }
        return .accepts(origin.nextLink, accepted: { origin.accept($0, place) })
    }

    /// What origins never answered ends here, by the world's hand.
    private func closeOrigins() {
        isClosing = true
        oracle.closedAt = world.now
        for origin in origins {
            for connection in origin.connections { connection.abandon() }
        }
        mirror?.close()
    }

    private func judge() {
        guard world.violations.isEmpty else { return }
        oracle.unavailableIsFair =
            oracle.unavailableIsFair
            || origins.contains { origin in
                origin.hasFailed || origin.connections.contains { $0.socket.wasCut }
            } && (scenario.hasConnectionFaults || isAnyoneSilent)
        oracle.waitingIsFair = scenario.origins.contains { plans in
            plans.contains { $0.link.stall != nil }
                || plans.last.map { $0.link.cut != nil || !$0.events.isEmpty } ?? true
        }
        // All of the few that there may be may be full.
        if scenario.features.breakers?.connections != nil { oracle.waitingIsFair = true }
        if scenario.originsSpeakTLS,
            !scenario.originCredentials.allSatisfy({ oracle.isAlwaysGood($0) })
        {
            oracle.unavailableIsFair = true
        }
        for refusal in world.refusals {
            if let fault = oracle.judge(refusal) { world.fail(fault) }
        }
        for call in calls {
            for fault in oracle.judge(call) { world.fail(fault) }
        }
        for fault in oracle.judgeBudgets(calls) + oracle.judgeFeatures(calls, world.sightings) {
            world.fail(fault)
        }
    }

    /// A reply that never ends is ended by cutting its connection.
    private var isAnyoneSilent: Bool {
        calls.contains { call in
            call.plan.replies.contains {
                if case .silence = $0.end { true } else { false }
            }
        }
    }
}
