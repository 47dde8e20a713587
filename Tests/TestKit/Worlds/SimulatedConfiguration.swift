/// A simulated proxy's configuration as text: a listener, an upstream for each origin, of which the
/// first has all, and a route each for gRPC and for everything else.
struct SimulatedConfiguration {
    let world: World
    let origins: Int
    /// Shifts weights and algorithms.
    let number: Int
    let mesh: MeshTerms
    /// Endpoints are asked how they are.
    let isChecked: Bool

    /// Who is behind an upstream where nothing changes that.
    static func places(of upstream: Int, origins: Int) -> [Place] {
        let members = upstream == 0 ? Array(0..<origins) : [upstream]
        return members.map { Place(upstream: upstream, origin: $0) }
    }

    /// The name under which the first upstream is found.
    private static let found = "{dns: \"orders.internal:50051\"}"

    var text: String {
        var text = "zone: near\n"
        if world.clientsSpeakTLS || world.originsSpeakTLS {
            text += "identities: [{name: self, certificate: weir.crt, private_key: weir.key}]\n"
            text += "trust: [{name: mesh.example, ca: ca.pem}]\n"
        }
        text += world.features.rates?.text ?? ""
        return text + listeners + upstreams + routes + "access_log: {file: stdout}\n"
    }

    private var listeners: String {
        let clients = mesh.requiresClients ? "required" : "optional"
        let server = "{identities: [self], clients: \(clients), trust: [mesh.example]}"
        var text = "listeners:\n"
        text += "  - {name: local, address: 127.0.0.1:8080, timeouts: {handshake: 60s}"
        text += world.proxyProtocol.map(BalancerHeader.listenerText) ?? ""
        text += world.features.rates?.listenerText ?? ""
        text += world.clientsSpeakTLS ? ", tls: \(server)}\n" : "}\n"
        return text + "  - {name: elsewhere, address: 127.0.0.1:8081}\n"
    }

    /// Every third configuration has none, so that it leaves and comes back.
    private var mirror: MirrorPlan? { number % 3 == 2 ? nil : world.features.mirror }

    private var upstreams: String {
        let peers = "[\"\(Oracle.expectedPeer)\"]"
        let client = "{identity: self, trust: mesh.example, peers: \(peers)}"
        let features = world.features
        var text = "upstreams:\n"
        for index in 0..<origins {
            let places = Self.places(of: index, origins: origins)
            let list = places.map(features.balance.endpointText).joined(separator: ", ")
            let isFound = index == 0 && features.discovery != nil
            let balance = features.balance.algorithm(of: index, installation: number).text
            text += "  - {name: u\(index), endpoints: \(isFound ? Self.found : "[\(list)]")"
            text += ", balance: \(balance), timeouts: {handshake: 60s}"
            text += features.upstreamText(isChecked: isChecked)
            text += world.retry?.upstreamText ?? ""
            text += world.originsSpeakTLS ? ", tls: \(client)}\n" : "}\n"
        }
        return text + (mirror?.upstream ?? "")
    }

    private var routes: String {
        let backends = (0..<origins).map { "{upstream: u\($0), weight: \(1 + number % 3)}" }
        let list = backends.joined(separator: ", ")
        let tested = ", headers: {x-test: \"on\"}"
        var text = "routes:\n"
        let kinds = [
            ("echo", "method: weir.echo.v1.Echo/*", true), ("files", "path: {prefix: /}", false),
        ]
        for (name, match, isGRPC) in kinds {
            let rest =
                ", listeners: [local], backends: [\(list)]"
                + (world.retry?.text(isGRPC: isGRPC) ?? "")
                + world.features.routeText(isGRPC: isGRPC) + (mirror?.key ?? "")
            text += "  - {name: \(name), matches: [{\(match)}]\(rest)}\n"
            guard let faults = world.features.faults else { continue }
            text += "  - {name: \(name)-tested, matches: [{\(match)\(tested)}]\(rest)"
            text += faults.text + "}\n"
        }
        return text
    }
}
