internal import Control
internal import Synchronization

/// Says what happened, one line per fact, and remembers whether all were as they should be.
final class Narrator: Sendable {
    /// The proxy is draining: what happens now is no part of the show.
    struct Interruption: Error {}

    enum Outcome { case fine, failed(Int), interrupted }

    private struct State {
        var facts = 0
        var failures = 0
        var isOver = false
    }

    private let stopper: Stopper
    private let state = Mutex(State())

    init(_ stopper: Stopper) { self.stopper = stopper }

    var outcome: Outcome {
        state.withLock { state in
            guard state.isOver else { return .interrupted }
            return state.failures == 0 ? .fine : .failed(state.failures)
        }
    }

    func say(_ line: String = "") { StandardOutput.write(line + "\n") }

    /// A fact, or, if there is a problem, what should have been one.
    func fact(_ text: String, problem: String?) throws(Interruption) {
        if stopper.isAsked { throw Interruption() }
        state.withLock {
            $0.facts += 1
            if problem != nil { $0.failures += 1 }
        }
        guard let problem else { return say("ok      \(text)") }
        say("FAILED  \(text): \(problem)")
    }

    /// Nothing more is to be told.
    func end() {
        let (facts, failures) = state.withLock { state in
            state.isOver = true
            return (state.facts, state.failures)
        }
        say()
        if failures == 0 {
            say("Every call did what it should: \(facts) of \(facts) ok.")
        } else {
            say("\(failures) of \(facts) FAILED.")
        }
    }
}
