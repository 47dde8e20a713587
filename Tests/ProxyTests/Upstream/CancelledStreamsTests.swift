import TestKit
import Testing

@testable import Proxy

@Suite struct CancelledStreamsTests {
    enum Step: Sendable {
        /// Whether a PING is to follow, and how many count after it.
        case add(at: Int64, pings: Bool, count: Int)
        case spoke
        case deadline(Int64)
        case acked(count: Int)
        case expired(at: Int64, Bool, count: Int)
    }

    private static let second = CancelledStreams.forgetNanoseconds

    @Test(
        "cancelled streams count until the server has seen it",
        arguments: [
            ("nothing", [.acked(count: 0), .expired(at: .max, false, count: 0)]),
            ("an ACK ends the count", [.add(at: 5, pings: true, count: 1), .acked(count: 0)]),
            (
                "one PING at most is out, and proves only what was before it",
                [
                    .add(at: 5, pings: true, count: 1), .spoke, .add(at: 6, pings: false, count: 2),
                    .add(at: 7, pings: false, count: 3), .acked(count: 2),
                    .add(at: 8, pings: true, count: 3), .acked(count: 0),
                ]
            ),
            (
                "no second PING before the server has spoken",
                [
                    .add(at: 5, pings: true, count: 1), .acked(count: 0),
                    .add(at: 6, pings: false, count: 1), .spoke, .add(at: 7, pings: true, count: 2),
                    .acked(count: 0),
                ]
            ),
            (
                "without an ACK those before the PING go a second after the first of them",
                [
                    .deadline(.max), .add(at: 5, pings: true, count: 1),
                    .add(at: 100, pings: false, count: 2), .deadline(5 + second),
                    .expired(at: 4 + second, false, count: 2),
                    .expired(at: 5 + second, true, count: 1), .deadline(5 + 2 * second),
                    .expired(at: 4 + 2 * second, false, count: 1),
                    .expired(at: 5 + 2 * second, true, count: 0), .deadline(.max),
                    .expired(at: 9 * second, false, count: 0),
                ]
            ),
            (
                "after that a PING waits for the server to speak",
                [
                    .add(at: 5, pings: true, count: 1), .expired(at: 5 + second, true, count: 0),
                    .add(at: 2 * second, pings: false, count: 1), .spoke,
                    .add(at: 2 * second, pings: true, count: 2), .acked(count: 0),
                ]
            ),
        ] as [(String, [Step])])
    func script(name: String, steps: [Step]) {
        var cancelled = CancelledStreams()
        for (index, step) in steps.enumerated() {
            switch step {
            case .spoke: cancelled.serverSpoke()
            case .deadline(let deadline): #expect(cancelled.deadline == deadline, "step \(index)")
            case .add(let time, let pings, let count):
                let isPing = cancelled.add(now: time)
                #expect(isPing == pings, "step \(index)")
                #expect(cancelled.count == count, "step \(index)")
            case .acked(let count):
                cancelled.pingAcked()
                #expect(cancelled.count == count, "step \(index)")
            case .expired(let time, let isForgotten, let count):
                let forgotten = cancelled.expired(now: time)
                #expect(forgotten == isForgotten, "step \(index)")
                #expect(cancelled.count == count, "step \(index)")
            }
        }
    }

    /// The server answers every PING in order within the second.
    @Test(
        "streams that the server has not seen cancelled always count",
        arguments: Seeds.chosen(default: 1...50))
    func counts(seed: UInt64) {
        var chance = Chance(seed: seed)
        var cancelled = CancelledStreams()
        var sent = 0
        var seen = 0
        var pingBehind: Int?
        var pingsSinceSpeech = 0
        for step in 0..<2_000 {
            switch chance.below(4) {
            case 0:
                sent += 1
                guard cancelled.add(now: Int64(step)) else { continue }
                #expect(pingBehind == nil, "seed \(seed): two PINGs are out")
                pingBehind = sent
                pingsSinceSpeech += 1
            case 1:
                cancelled.serverSpoke()
                pingsSinceSpeech = 0
            case 2:
                guard let behind = pingBehind else { continue }
                seen = behind
                pingBehind = nil
                cancelled.pingAcked()
            default: _ = cancelled.expired(now: Int64(step))
            }
            #expect(cancelled.count >= sent - seen, "seed \(seed), step \(step)")
            #expect(pingsSinceSpeech <= 1, "seed \(seed), step \(step)")
        }
    }
}
