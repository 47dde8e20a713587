import Rules
import Testing
import Wire

@testable import Proxy

/// An exchange whose request's header block has come, and a worker to send it on.
final class RequestFixture {
    let worker: Worker
    let exchange: Exchange
    private var route: Route?

    init(_ fields: [(String, String)], isGRPC: Bool = false) throws {
        worker = Worker(
            system: RecordingSystem(), log: EventLog(), loads: WorkerLoads(workers: 1), index: 0)
        exchange = worker.workspace.takeExchange().object
        exchange.head.isGRPC = isGRPC
        for (name, value) in fields {
            let pool = worker.workspace.blocks
            let nameKept = exchange.arena.keep(Array(name.utf8).span, from: pool)
            let valueKept = exchange.arena.keep(Array(value.utf8).span, from: pool)
            let (name, value) = (try #require(nameKept), try #require(valueKept))
            exchange.head.noted(name.use(HeaderToken.of), at: exchange.request.headers.count)
            let isAdded = exchange.request.headers.append(
                copying: name, value, flags: 0, in: &exchange.arena, from: pool)
            #expect(isAdded)
        }
    }

    func use(_ terms: Route.Terms) {
        let backends = WeightedBackends([.init(upstream: 0, weight: 1)])
        let route = Route(name: "route", index: 0, action: .forward(backends), terms: terms)
        exchange.route = Borrowed(route)
        self.route = route
    }

    /// What is sent to the server, a line for each field.
    func sent() throws -> [String] {
        let block = try #require(worker.requestHeaders(exchange, exchange.attempt.object))
        return Self.lines(of: block)
    }

    static func lines(of block: HeaderBlock) -> [String] {
        (0..<block.count).map { "\(block.name($0).text): \(block.value($0).text)" }
    }
}

extension HeaderEdits.Field {
    init(_ name: String, _ value: String) {
        self.init(name: Array(name.utf8), value: Array(value.utf8))
    }
}
