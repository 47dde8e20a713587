internal import Peers
internal import Synchronization

/// Calls of all shapes on several connections at once, each on a thread of its own, until stopped.
final class Traffic: Sendable {
    /// What one connection has seen.
    struct Tally {
        /// Answered calls by backend.
        var calls: [String: Int] = [:]
        var lastServer: String?
        /// How often the backend was another one than before.
        var moves = 0
        /// How often the call that may be denied was, and whether it was the last time.
        var denials = 0
        var isDenied = false
        var connections = 0
        var problems: [String] = []
        var hasEnded = false

        mutating func answered(by server: String) {
            calls[server, default: 0] += 1
            if let lastServer, lastServer != server { moves += 1 }
            lastServer = server
        }
    }

    private struct State {
        var tallies: [Tally]
        var mayBeDenied: CallClient.Method?
        var isStopping = false
    }

    private let state: Mutex<State>
    private let stage: Stage
    private static let problemsMax = 3

    init(on stage: Stage, connections: Int) {
        self.stage = stage
        state = Mutex(State(tallies: Array(repeating: Tally(), count: connections)))
    }

    func start() {
        for index in tallies.indices { startThread { self.call(index) } }
    }

    func stop() { state.withLock { $0.isStopping = true } }

    var tallies: [Tally] { state.withLock { $0.tallies } }

    var hasEnded: Bool { tallies.allSatisfy(\.hasEnded) }

    /// True once the latest call of every connection was answered by this backend.
    func hasArrived(at server: String) -> Bool {
        tallies.allSatisfy { $0.lastServer == server || $0.hasEnded }
    }

    func calls(of server: String) -> Int { tallies.reduce(0) { $0 + $1.calls[server, default: 0] } }

    /// Calls of this shape may end with PERMISSION_DENIED from now on; nil: none may.
    func expectDenials(of method: CallClient.Method?) {
        state.withLock { $0.mayBeDenied = method }
    }

    /// Whether the latest call of that shape on every connection was denied, or none was.
    func isEverywhere(denied: Bool) -> Bool {
        tallies.allSatisfy { $0.isDenied == denied || $0.hasEnded }
    }

    /// Whether each of them calls on its connection of that number.
    func hasConnected(times count: Int) -> Bool {
        tallies.allSatisfy { $0.connections == count || $0.hasEnded }
    }

    /// The first thing that went wrong.
    var problem: String? { tallies.lazy.compactMap(\.problems.first).first }

    private func call(_ index: Int) {
        defer { state.withLock { $0.tallies[index].hasEnded = true } }
        let client = MeshClient(.web, stage)
        var number = 0
        while !state.withLock(\.isStopping) {
            guard client.caller() != nil else { return note("no connection to the proxy", index) }
            let shape = CallClient.Method.allCases[number % CallClient.Method.allCases.count]
            let expected = EchoExpectation(shape, text: "connection \(index), call \(number)")
            let record = client.call(shape, expected.requests)
            number += 1
            if took(record, shape, on: client.connections, index) { continue }
            if let problem = expected.problem(in: record) {
                note("\(shape.rawValue): \(problem)", index)
            } else if let server = record.server {
                state.withLock { $0.tallies[index].answered(by: server) }
            }
        }
    }

    /// Notes what came of a call; true where it was denied as it might be.
    private func took(
        _ record: CallRecord, _ shape: CallClient.Method, on connections: Int, _ index: Int
    ) -> Bool {
        let isDenied = record.problem(status: 7) == nil && record.server == nil
        return state.withLock { state in
            state.tallies[index].connections = connections
            guard state.mayBeDenied == shape else { return false }
            state.tallies[index].isDenied = isDenied
            if isDenied { state.tallies[index].denials += 1 }
            return isDenied
        }
    }

    private func note(_ problem: String, _ index: Int) {
        state.withLock { state in
            guard state.tallies[index].problems.count < Self.problemsMax else { return }
            state.tallies[index].problems.append(problem)
        }
    }
}
