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
        var isStopping = false
    }

    private let state: Mutex<State>
    private let port: UInt16
    private static let problemsMax = 3

    init(port: UInt16, connections: Int) {
        self.port = port
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

    /// The first thing that went wrong.
    var problem: String? { tallies.lazy.compactMap(\.problems.first).first }

    private func call(_ index: Int) {
        defer { state.withLock { $0.tallies[index].hasEnded = true } }
        guard let caller = EchoCaller(port: port, authority: "demo.example") else {
            return note("no connection to the proxy", index)
        }
        var number = 0
        while !state.withLock(\.isStopping) {
            guard caller.takesCalls else { return note("the proxy ended a connection", index) }
            let shape = CallClient.Method.allCases[number % CallClient.Method.allCases.count]
            let expected = EchoExpectation(shape, text: "connection \(index), call \(number)")
            let record = caller.call(shape, expected.requests)
            number += 1
            if let problem = expected.problem(in: record) {
                note("\(shape.rawValue): \(problem)", index)
            } else if let server = record.server {
                state.withLock { $0.tallies[index].answered(by: server) }
            }
        }
    }

    private func note(_ problem: String, _ index: Int) {
        state.withLock { state in
            guard state.tallies[index].problems.count < Self.problemsMax else { return }
            state.tallies[index].problems.append(problem)
        }
    }
}
