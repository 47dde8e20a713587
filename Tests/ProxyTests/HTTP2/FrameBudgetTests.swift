import Rules
import Testing

@testable import Proxy

@Suite struct FrameBudgetTests {
    enum Frame: Sendable {
        case quiet, settings, ping, emptyData, data, began, reset, earlyReset
        case sentHeaders, sentData
    }

    struct Step: Sendable {
        var count: Int
        var frame: Frame
        var at: Int64 = 0
        /// What the last of them trips; those before it trip nothing.
        var trips: Limit?
    }

    private static let span: Int64 = 10_000_000_000
    private static let terms = FrameBudget.Terms(
        pings: 3, settings: 2, emptyData: 4, quietFrames: 10, earlyResets: 6, resets: 0)

    @Test(
        "what costs a peer little is counted against what it may cost",
        arguments: [
            ("PINGs", [Step(count: 3, frame: .ping), Step(count: 1, frame: .ping, trips: .pings)]),
            (
                "a PING is paid back by each frame sent, never more than were spent",
                [
                    Step(count: 9, frame: .sentData), Step(count: 3, frame: .ping),
                    Step(count: 1, frame: .sentHeaders), Step(count: 1, frame: .sentData),
                    Step(count: 2, frame: .ping), Step(count: 1, frame: .ping, trips: .pings),
                ]
            ),
            (
                "time does not pay for PINGs",
                [
                    Step(count: 3, frame: .ping), Step(count: 1, frame: .settings, at: 5 * span),
                    Step(count: 1, frame: .ping, at: 5 * span, trips: .pings),
                ]
            ),
            (
                "SETTINGS in 10 s",
                [
                    Step(count: 2, frame: .settings, at: 7),
                    Step(count: 1, frame: .settings, at: span + 6, trips: .settings),
                ]
            ),
            (
                "SETTINGS of two spans",
                [
                    Step(count: 2, frame: .settings, at: 7),
                    Step(count: 2, frame: .settings, at: span + 7),
                    Step(count: 1, frame: .settings, at: span + 8, trips: .settings),
                ]
            ),
            (
                "empty DATA in a row",
                [
                    Step(count: 4, frame: .emptyData), Step(count: 1, frame: .data),
                    Step(count: 4, frame: .emptyData),
                    Step(count: 1, frame: .emptyData, at: 9 * span, trips: .emptyData),
                ]
            ),
            (
                "frames without a request",
                [
                    Step(count: 10, frame: .quiet), Step(count: 1, frame: .began),
                    Step(count: 10, frame: .quiet),
                    Step(count: 1, frame: .quiet, trips: .quietFrames),
                ]
            ),
            (
                "two of them are forgiven for each DATA frame sent",
                [
                    Step(count: 10, frame: .quiet), Step(count: 2, frame: .sentData),
                    Step(count: 4, frame: .quiet), Step(count: 1, frame: .sentHeaders),
                    Step(count: 1, frame: .quiet, trips: .quietFrames),
                ]
            ),
            (
                "forgiving does not save up",
                [
                    Step(count: 100, frame: .sentData), Step(count: 10, frame: .quiet),
                    Step(count: 1, frame: .quiet, trips: .quietFrames),
                ]
            ),
            (
                "early resets of over half of many streams",
                [
                    Step(count: 8, frame: .began), Step(count: 4, frame: .earlyReset),
                    Step(count: 4, frame: .reset),
                    Step(count: 1, frame: .earlyReset, trips: .earlyResets),
                ]
            ),
            (
                "of few streams all may be reset",
                [Step(count: 6, frame: .began), Step(count: 6, frame: .earlyReset)]
            ),
            (
                "late resets are no abuse",
                [Step(count: 100, frame: .began), Step(count: 100, frame: .reset)]
            ),
            (
                "a new span forgets early resets",
                [
                    Step(count: 8, frame: .began), Step(count: 4, frame: .earlyReset),
                    Step(count: 4, frame: .earlyReset, at: span),
                ]
            ),
        ] as [(String, [Step])])
    func client(name: String, steps: [Step]) { run(Self.terms, steps) }

    @Test("a server's resets are counted whatever their age")
    func server() {
        var terms = Self.terms
        terms.resets = 5
        terms.earlyResets = 0
        run(
            terms,
            [
                Step(count: 50, frame: .began), Step(count: 5, frame: .earlyReset),
                Step(count: 1, frame: .reset, trips: .resets),
                Step(count: 5, frame: .reset, at: Self.span),
                Step(count: 1, frame: .reset, at: Self.span, trips: .resets),
            ])
    }

    @Test("both sides' defaults become terms")
    func defaults() {
        let client = FrameBudget.Terms(DownstreamLimits())
        #expect(client.resets == 0 && client.earlyResets == 200 && client.quietFrames == 10_000)
        #expect(client.pings == 100 && client.settings == 10 && client.emptyData == 100)
        let server = FrameBudget.Terms(UpstreamLimits())
        #expect(server.resets == 1_000 && server.earlyResets == 0 && server.quietFrames == 10_000)
        #expect(server.pings == 100 && server.settings == 10 && server.emptyData == 100)
    }

    private func run(_ terms: FrameBudget.Terms, _ steps: [Step]) {
        var budget = FrameBudget(terms)
        for (place, step) in steps.enumerated() {
            for number in 1...step.count {
                let tripped = Self.tell(step.frame, &budget, step.at)
                let expected = number == step.count ? step.trips : nil
                #expect(tripped == expected, "step \(place), frame \(number)")
            }
        }
    }

    private static func tell(_ frame: Frame, _ budget: inout FrameBudget, _ now: Int64) -> Limit? {
        switch frame {
        case .quiet: return budget.quietFrameReceived(now: now)
        case .settings: return budget.settingsReceived(now: now)
        case .ping: return budget.pingReceived()
        case .emptyData: return budget.dataReceived(isEmpty: true)
        case .data: return budget.dataReceived(isEmpty: false)
        case .reset: return budget.streamReset(isEarly: false, now: now)
        case .earlyReset: return budget.streamReset(isEarly: true, now: now)
        case .began: budget.streamBegan(now: now)
        case .sentHeaders: budget.headersSent()
        case .sentData: budget.dataSent()
        }
        return nil
    }
}
