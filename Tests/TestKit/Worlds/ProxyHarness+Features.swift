import Configuration
import Proxy
import Rules

/// What the proxy is told beside configurations, and what it says of its endpoints.
extension ProxyHarness {
    /// Everything that happens to the features of this world.
    func beginFeatures() {
        for index in 0..<origins where index > 0 || world.features.discovery == nil {
            let places = SimulatedConfiguration.places(of: index, origins: origins)
            _ = lists.add(.init(upstream: index, places: places, at: 0, heardAt: 0))
        }
        for change in world.features.discovery?.changes ?? [] where change.after > 0 {
            world.after(change.after) { [unowned self] in tellEndpoints(change.members) }
        }
        for period in world.features.overload?.periods ?? [] {
            world.after(period.after) { [unowned self] in begin(period.stage, period.nanoseconds) }
        }
        if world.features.checks != nil {
            world.after(CheckPlan.span) { [unowned self] in
                guard !isDraining else { return }
                install { [unowned self] in checksOverAt = $0 }
            }
        }
    }

    // MARK: Discovery

    /// Before the first configuration, which needs it.
    func tellFirstEndpoints() {
        guard let first = world.features.discovery?.changes.first, first.after == 0 else { return }
        tellEndpoints(first.members)
    }

    private func tellEndpoints(_ members: Int) {
        let places = DiscoveryPlan.members(members, of: origins).map {
            Place(upstream: 0, origin: $0)
        }
        let terms = places.map { place in
            EndpointTerms(
                place.address, weight: world.features.balance.weighs ? UInt32(1 + place.origin) : 1,
                zone: place.origin == 1 ? "far" : "near")
        }
        let source = EndpointSource.dns(
            DNSTerms(name: "orders.internal", port: 50_051, kind: .both))
        let list = DiscoveredEndpoints(
            [source: EndpointList(terms)], EndpointRequests(waker: nil))
        let change = lists.add(.init(upstream: 0, places: places, at: world.now))
        world.trace.note(world.now, "endpoints", members)
        tell(.endpoints(list)) { [unowned self] in lists.heard(change, at: $0) }
    }

    // MARK: Overload

    private func begin(_ stage: OverloadPlan.Stage, _ nanoseconds: Int64) {
        let index = overloads.count
        overloads.append(Oracle.Overload(stage: stage, at: world.now))
        world.trace.note(world.now, "overload", stage.rawValue)
        tell(.overload(OverloadStage(rawValue: UInt8(stage.rawValue)) ?? .none)) {
            [unowned self] in overloads[index].heardAt = $0
        }
        world.after(nanoseconds) { [unowned self] in
            overloads[index].until = world.now
            tell(.overload(.none)) { [unowned self] in overloads[index].overAt = $0 }
        }
    }

    // MARK: What it says, and what it holds

    /// After a worker's turn.
    func look(at worker: Int) {
        for entry in log.take().entries {
            lines.append("\(world.now / 1_000)us \(entry.level) \(entry.message)")
            health.read(entry.message, at: world.now, worker: worker)
        }
        guard let most = world.features.breakers?.pending else { return }
        for count in counts.prefix(origins) where count.pendingCount > most {
            world.fail("\(count.pendingCount) requests wait where \(most) may")
        }
    }
}
