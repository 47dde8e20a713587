internal import Configuration
internal import Proxy
internal import Rules
internal import Wire

/// How requests are spread over the endpoints of upstreams, for the admin port: all workers'
/// together.
struct BalanceFigures {
    private static let endpointsMax = 10_000

    private struct Sum {
        let first: EndpointFacts
        var connections = 0
        var inFlight = 0
        /// Of the workers that measured it, and how many those are.
        var latency: Int64 = 0
        var measured: Int64 = 0
    }

    /// By upstream, in the order of its endpoints.
    private var sums: [String: [Sum]] = [:]

    /// Asks the workers; one that does not answer within a second is left out.
    init(_ state: ProcessState) {
        let answers = state.now.workers.map {
            Answer<[EndpointFacts]>($0.mailbox, limit: Self.endpointsMax)
        }
        let deadline = Waiting.now() + 1_000_000_000
        for answer in answers {
            for facts in answer.value(by: deadline) ?? [] { add(facts) }
        }
    }

    private mutating func add(_ facts: EndpointFacts) {
        var known = sums[facts.upstream, default: []]
        let index =
            known.firstIndex { $0.first.address == facts.address }
            ?? {
                known.append(Sum(first: facts))
                return known.count - 1
            }()
        known[index].connections += facts.connections
        known[index].inFlight += facts.inFlight
        if let latency = facts.latency {
            known[index].latency += latency
            known[index].measured += 1
        }
        sums[facts.upstream] = known
    }

    /// What `/upstreams` has of one.
    func members(of terms: UpstreamTerms) -> [(String, JSON)] {
        let endpoints = (sums[terms.name] ?? []).map { Self.json($0) }
        return [("balance", .string(terms.balance.words)), ("shares", .array(endpoints))]
    }

    private static func json(_ sum: Sum) -> JSON {
        var members: [(String, JSON)] = [
            ("endpoint", .string("\(sum.first.address)")),
            ("weight", .number(Int(sum.first.weight))),
        ]
        if let zone = sum.first.zone { members.append(("zone", .string(zone))) }
        members += [
            ("connections", .number(sum.connections)), ("requests", .number(sum.inFlight)),
        ]
        if sum.measured > 0 {
            let microseconds = sum.latency / sum.measured / 1_000
            members.append(("latency_us", .number(Int(microseconds))))
        }
        return .object(members)
    }
}

extension Answer<[EndpointFacts]> {
    /// Asks a worker for what it knows of its endpoints.
    convenience init(_ mailbox: Mailbox, limit: Int) {
        self.init()
        mailbox.post(.endpointFacts(limit: limit) { self.give($0) })
    }
}
