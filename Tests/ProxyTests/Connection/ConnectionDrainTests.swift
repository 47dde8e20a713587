import TestKit
import Testing

@testable import Proxy

@Suite struct ConnectionDrainTests {
    enum Step: Sendable {
        case begin(at: Int64, limit: Int64), withoutNotice
        case acked(ConnectionDrain.Action)
        case expired(Int64, ConnectionDrain.Action)
        case deadline(Int64)
    }

    private static let second = ConnectionDrain.noticeNanoseconds

    @Test(
        "a connection is asked twice and cut once",
        arguments: [
            (
                "serving, nothing is due",
                [.expired(.max - 1, .none), .acked(.none), .deadline(.max)]
            ),
            (
                "the ACK brings the second GOAWAY",
                [
                    .begin(at: 100, limit: 0), .deadline(100), .expired(99, .none),
                    .acked(.none), .expired(100, .notice), .deadline(100 + second),
                    .acked(.announce), .deadline(.max), .acked(.none), .expired(.max - 1, .none),
                ]
            ),
            (
                "a second brings it where no ACK comes",
                [
                    .begin(at: 100, limit: 0), .expired(200, .notice), .expired(200, .none),
                    .expired(200 + second, .announce), .acked(.none), .deadline(.max),
                ]
            ),
            (
                "what is left is cut at the limit",
                [
                    .begin(at: 100, limit: 5 * second), .expired(100, .notice), .acked(.announce),
                    .deadline(100 + 5 * second), .expired(99 + 5 * second, .none),
                    .expired(100 + 5 * second, .cut), .expired(100 + 6 * second, .none),
                    .deadline(.max),
                ]
            ),
            (
                "a limit shorter than the notice cuts at once",
                [
                    .begin(at: 100, limit: 1), .expired(100, .notice), .deadline(101),
                    .expired(101, .cut), .acked(.none),
                ]
            ),
            (
                "whoever comes too late cuts without asking",
                [.begin(at: 100, limit: 50), .expired(150, .cut), .expired(150, .none)]
            ),
            (
                "a second drain may only shorten the first",
                [
                    .begin(at: 100, limit: 0), .expired(100, .notice),
                    .begin(at: 200, limit: 10 * second), .begin(at: 300, limit: 0),
                    .begin(at: 300, limit: 20 * second), .acked(.announce),
                    .deadline(200 + 10 * second), .expired(200 + 10 * second, .cut),
                ]
            ),
            (
                "a connection without streams is not asked first",
                [.withoutNotice, .acked(.none), .expired(.max - 1, .none), .deadline(.max)]
            ),
            (
                "and can still be given a limit",
                [.withoutNotice, .begin(at: 100, limit: 7), .deadline(107), .expired(107, .cut)]
            ),
        ] as [(String, [Step])])
    func script(name: String, steps: [Step]) {
        var drain = ConnectionDrain()
        for (index, step) in steps.enumerated() {
            switch step {
            case .begin(let time, let limit): drain.begin(at: time, limit: limit)
            case .withoutNotice: drain.beginWithoutNotice()
            case .acked(let action):
                let acked = drain.pingAcked()
                #expect(acked == action, "step \(index)")
            case .expired(let now, let action):
                let expired = drain.expired(now: now)
                #expect(expired == action, "step \(index)")
            case .deadline(let deadline): #expect(drain.deadline == deadline, "step \(index)")
            }
        }
    }

    @Test(
        "notice, announce and cut come at most once and in order, whatever happens",
        arguments: Seeds.chosen(default: 1...50))
    func order(seed: UInt64) {
        var chance = Chance(seed: seed)
        var drain = ConnectionDrain()
        var now: Int64 = 0
        var actions: [ConnectionDrain.Action] = []
        for _ in 0..<60 {
            now += Int64(chance.below(Int(Self.second)))
            switch chance.below(8) {
            case 0:
                let limit = Int64(chance.below(3)) * 4 * Self.second
                drain.begin(at: now + Int64(chance.below(2_000)), limit: limit)
            case 1, 2: actions.append(drain.pingAcked())
            default:
                let isDue = now >= drain.deadline
                let action = drain.expired(now: now)
                #expect(isDue == (action != .none), "seed \(seed)")
                actions.append(action)
            }
        }
        actions.removeAll { $0 == .none }
        let full: [ConnectionDrain.Action] = [.notice, .announce, .cut]
        let inOrder = full.filter(actions.contains)
        #expect(actions == inOrder, "seed \(seed)")
    }
}
