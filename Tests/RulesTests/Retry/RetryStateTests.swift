import Testing
import Wire

@testable import Rules

/// semantics of gRFC A6, row by row.
@Suite struct RetryStateTests {
    private static func policy(_ change: (inout RetryPolicy.Terms) -> Void = { _ in })
        -> RetryPolicy
    {
        var terms = RetryPolicy.Terms()
        terms.codes = StatusCodes([.unavailable, .deadlineExceeded])
        terms.statuses = [502, 503]
        terms.methods = [Array("GET".utf8)]
        terms.attempts = 3
        change(&terms)
        return RetryPolicy(terms)
    }

    private static func situation(
        _ change: (inout RetryState.Situation) -> Void = { _ in }
    ) -> RetryState.Situation {
        var situation = RetryState.Situation()
        situation.now = 1_000_000_000
        // Half of the range: a factor of 1.
        situation.draw = 1 << 63
        change(&situation)
        return situation
    }

    private static let plain = AttemptMethod.http(isNamed: true)

    struct Row: Sendable {
        let name: String
        let outcome: AttemptOutcome
        let verdict: RetryState.Verdict
        var hasPolicy = true
        let change: @Sendable (inout RetryState.Situation) -> Void

        init(
            _ name: String, _ outcome: AttemptOutcome, _ verdict: RetryState.Verdict,
            hasPolicy: Bool = true,
            _ change: @escaping @Sendable (inout RetryState.Situation) -> Void = { _ in }
        ) {
            self.name = name
            self.outcome = outcome
            self.verdict = verdict
            self.hasPolicy = hasPolicy
            self.change = change
        }
    }

    @Test(
        "a first failure",
        arguments: [
            Row("a code of the policy", .status(14), .retry(after: 25_000_000)),
            Row("a code that is not", .status(3), .giveUp(.notRetryable)),
            Row("no policy", .status(14), .giveUp(.notRetryable), hasPolicy: false),
            Row("never sent", .neverSent, .again),
            Row("never sent, without a policy", .neverSent, .again, hasPolicy: false),
            Row("refused", .refused, .again),
            Row("refused, without a policy", .refused, .again, hasPolicy: false),
            Row("refused, plain HTTP of any method", .refused, .again) {
                $0.method = .http(isNamed: false)
            },
            Row("after the response was passed on", .status(14), .giveUp(.committed)) {
                $0.isCommitted = true
            },
            Row("refused after the response", .refused, .giveUp(.committed)) {
                $0.isCommitted = true
            },
            Row("more of the request than is kept", .status(14), .giveUp(.bodyOverBuffer)) {
                $0.isReplayable = false
            },
            Row("refused with more than is kept", .refused, .giveUp(.bodyOverBuffer)) {
                $0.isReplayable = false
            },
            Row("not named, with more than is kept", .status(3), .giveUp(.notRetryable)) {
                $0.isReplayable = false
            },
            Row("pushback", .status(14), .retry(after: 7_000_000)) {
                $0.pushback = .after(7_000_000)
            },
            Row("pushback of nothing", .status(14), .retry(after: 0)) { $0.pushback = .after(0) },
            Row("pushback says stop", .status(14), .giveUp(.pushbackStop)) { $0.pushback = .stop },
            Row("stop with a code that is not named", .status(3), .giveUp(.notRetryable)) {
                $0.pushback = .stop
            },
            Row("time for it", .status(14), .retry(after: 25_000_000)) {
                $0.deadline = 1_025_000_001
            },
            Row("no time for it", .status(14), .giveUp(.deadline)) { $0.deadline = 1_025_000_000 },
            Row("pushback beyond the deadline", .status(14), .giveUp(.deadline)) {
                $0.pushback = .after(60_000_000_000)
                $0.deadline = 2_000_000_000
            },
            Row("its own time was over", .timedOut, .retry(after: 25_000_000)),
            Row("a limit of Weir's own", .dropped, .giveUp(.notRetryable)),
            Row("a status and method of the policy", .http(503), .retry(after: 25_000_000)) {
                $0.method = plain
            },
            Row("another status", .http(500), .giveUp(.notRetryable)) { $0.method = plain },
            Row("another method", .http(503), .giveUp(.notRetryable)) {
                $0.method = .http(isNamed: false)
            },
            Row("its own time, another method", .timedOut, .giveUp(.notRetryable)) {
                $0.method = .http(isNamed: false)
            },
            Row("gRPC's codes are not for plain HTTP", .status(14), .giveUp(.notRetryable)) {
                $0.method = plain
            },
        ])
    func first(row: Row) {
        let state = CallRecord()
        let policy = row.hasPolicy ? Self.policy() : nil
        let verdict = state.failed(row.outcome, policy, Self.situation(row.change))
        #expect(verdict == row.verdict, "\(row.name)")
    }

    @Test("attempts include the first, and delays grow")
    func attempts() {
        let state = CallRecord()
        let policy = Self.policy {
            $0.attempts = 5
            $0.backoff.max = 90_000_000
        }
        let verdicts = (0..<5).map { _ in state.failed(.status(14), policy, Self.situation()) }
        #expect(
            verdicts == [
                .retry(after: 25_000_000), .retry(after: 50_000_000), .retry(after: 90_000_000),
                .retry(after: 90_000_000), .giveUp(.attempts),
            ])
        #expect(state.attempts == 5)
    }

    @Test("pushback begins the delays anew, and its attempts count")
    func pushbackResets() {
        let state = CallRecord()
        let policy = Self.policy { $0.attempts = 4 }
        let told = Self.situation { $0.pushback = .after(500) }
        #expect(state.failed(.status(14), policy, Self.situation()) == .retry(after: 25_000_000))
        #expect(state.failed(.status(14), policy, told) == .retry(after: 500))
        #expect(state.failed(.status(14), policy, Self.situation()) == .retry(after: 25_000_000))
        #expect(state.failed(.status(14), policy, told) == .giveUp(.attempts))
    }

    @Test("refused is free once, then it is UNAVAILABLE; never sent is always free")
    func transparent() {
        let state = CallRecord()
        let policy = Self.policy()
        #expect(state.failed(.refused, policy, Self.situation()) == .again)
        for _ in 0..<300 { #expect(state.failed(.neverSent, policy, Self.situation()) == .again) }
        #expect(state.attempts == 1)
        #expect(state.failed(.refused, policy, Self.situation()) == .retry(after: 25_000_000))
        #expect(state.attempts == 2)
        let other = CallRecord()
        let plain = Self.situation { $0.method = Self.plain }
        #expect(other.failed(.refused, policy, plain) == .again)
        #expect(other.failed(.refused, policy, plain) == .retry(after: 25_000_000))
        let without = CallRecord()
        #expect(without.failed(.refused, nil, Self.situation()) == .again)
        #expect(without.failed(.refused, nil, Self.situation()) == .giveUp(.notRetryable))
    }

    @Test("hedges need no failure, follow one at once, and end with the attempts or a stop")
    func hedging() {
        let policy = Self.policy { $0.hedgeDelay = 50_000_000 }
        let state = CallRecord()
        #expect(state.hedged(policy))
        #expect(state.failed(.status(14), policy, Self.situation()) == .retry(after: 0))
        #expect(!state.hedged(policy))
        #expect(state.failed(.status(14), policy, Self.situation()) == .giveUp(.attempts))
        let stopped = CallRecord()
        let stop = Self.situation { $0.pushback = .stop }
        #expect(stopped.failed(.status(14), policy, stop) == .giveUp(.pushbackStop))
        #expect(!stopped.hedged(policy))
    }

    @Test("delays keep within a fifth of what they should be")
    func jitter() {
        let backoff = RetryBackoff()
        let delays = (0...100).map { backoff.delay(1, draw: UInt64($0) * (UInt64.max / 100)) }
        #expect(delays.min() == 20_000_000)
        #expect((29_900_000...30_000_000).contains(delays.max() ?? 0))
        #expect(backoff.delay(10_000, draw: 1 << 63) == 250_000_000)
    }

    @Test(
        "pushback is read as gRFC A6 says",
        arguments: [
            ("0", .after(0)), ("25", .after(25_000_000)),
            ("2147483647", .after(2_147_483_647_000_000)), ("2147483648", .stop), ("-1", .stop),
            ("-0", .stop), ("", .stop), ("-", .stop), ("1.5", .stop), (" 1", .stop), ("+1", .stop),
            ("1s", .stop), ("99999999999999999999", .stop), ("00000000001", .stop),
        ] as [(String, Pushback)])
    func pushback(text: String, pushback: Pushback) {
        #expect(Pushback(Array(text.utf8).span) == pushback)
    }
}

/// A state that expectations may change.
private final class CallRecord {
    private var state = RetryState()
    var attempts: UInt8 { state.attempts }

    func failed(
        _ outcome: AttemptOutcome, _ policy: RetryPolicy?, _ situation: RetryState.Situation
    ) -> RetryState.Verdict {
        state.failed(outcome, policy, situation)
    }

    func hedged(_ policy: RetryPolicy) -> Bool { state.hedged(policy) }
}

@Suite struct RetryBudgetTests {
    private static let second: Int64 = 1_000_000_000

    @Test("a share of the calls of ten seconds, and so many each second besides")
    func share() {
        var window = RetryWindow()
        var budget = RetryBudget()
        budget.minimum = 0
        for _ in 0..<100 { window.callBegan(now: 5 * Self.second) }
        let taken = (0..<50).count { _ in
            window.takeRetry(budget, workers: 1, now: 6 * Self.second)
        }
        #expect(taken == 20)
        budget.minimum = 3
        let more = (0..<100).count { _ in
            window.takeRetry(budget, workers: 1, now: 6 * Self.second)
        }
        #expect(more == 30)
        var shared = RetryWindow()
        let ofTwo = (0..<100).count { _ in
            shared.takeRetry(budget, workers: 2, now: 6 * Self.second)
        }
        #expect(ofTwo == 15)
    }

    @Test("what is older than ten seconds is forgotten, calls and retries")
    func forgets() {
        var window = RetryWindow()
        var budget = RetryBudget()
        budget.minimum = 0
        func taken(at now: Int64) -> Int {
            (0..<1_000).count { _ in window.takeRetry(budget, workers: 1, now: now) }
        }
        for second in 0..<10 {
            for _ in 0..<10 { window.callBegan(now: Int64(second) * Self.second) }
        }
        #expect(taken(at: 9 * Self.second) == 20)
        // Half of the calls are gone, and none of the retries.
        #expect(taken(at: 14 * Self.second + 1) == 0)
        for _ in 0..<1_000 { window.callBegan(now: 18 * Self.second) }
        #expect(taken(at: 18 * Self.second) == 182)
        #expect(taken(at: 1_000 * Self.second) == 0)
        for _ in 0..<10 { window.callBegan(now: 1_000 * Self.second) }
        #expect(taken(at: 1_000 * Self.second) == 2)
    }

    @Test("half of the tokens have to be there")
    func throttle() {
        let throttle = RetryThrottle(maximum: 10_000, ratio: 100)
        var tokens = throttle.maximum
        for _ in 0..<4 { tokens = throttle.tokens(tokens, afterFailure: true) }
        #expect(throttle.allows(tokens))
        tokens = throttle.tokens(tokens, afterFailure: true)
        #expect(tokens == 5_000 && !throttle.allows(tokens))
        tokens = throttle.tokens(tokens, afterFailure: false)
        #expect(throttle.allows(tokens))
        for _ in 0..<20 { tokens = throttle.tokens(tokens, afterFailure: true) }
        #expect(tokens == 0)
        for _ in 0..<200 { tokens = throttle.tokens(tokens, afterFailure: false) }
        #expect(tokens == 10_000)
    }
}
