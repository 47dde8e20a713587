import Testing

@testable import Proxy

@Suite struct LingeringTests {
    private static let second: Int64 = 1_000_000_000

    /// When it is closed, in seconds, where `left` bytes are unacknowledged after so many seconds.
    private func closes(
        patience: Int64, limitAt: Int64 = .max, spoken: Int64 = 0, left: (Int64) -> Int
    ) -> Int64 {
        var lingering = Lingering(now: 0, patience: patience * Self.second)
        var now: Int64 = 0
        while now < 1_000 * Self.second {
            if now > 0, now <= spoken * Self.second { lingering.received(now: now) }
            let next = lingering.looked(
                now: now, unacknowledged: left(now / Self.second), limitAt: limitAt)
            guard let next else { break }
            #expect(next > now)
            now = next
        }
        return now / Self.second
    }

    @Test("a peer that has taken everything gets a second to end its side")
    func quiet() {
        #expect(closes(patience: 30) { _ in 0 } == 1)
        #expect(closes(patience: 30) { $0 < 7 ? 100 : 0 } == 8)
    }

    @Test("a peer that takes nothing is given up after the patience, and no sooner")
    func stuck() {
        #expect(closes(patience: 30) { _ in 100 } == 30)
        #expect(closes(patience: 0) { _ in 100 } == 1)
    }

    @Test("a peer that takes ever more is waited for, but not for ever")
    func slow() {
        #expect(closes(patience: 5) { 10_000 - Int($0) } == 60)
        #expect(closes(patience: 5) { max(0, 20 - Int($0)) } == 21)
    }

    @Test("a peer that broke the rules is not waited for, whatever it takes or says")
    func short() {
        #expect(closes(patience: 0, spoken: 50) { 10_000 - Int($0) } == 1)
    }

    @Test("the limit of a drain holds, but a second is always given")
    func drain() {
        #expect(closes(patience: 30, limitAt: 10 * Self.second) { _ in 100 } == 10)
        #expect(closes(patience: 30, limitAt: 0) { _ in 100 } == 1)
    }

    @Test("what the peer still says counts as a sign that it reads")
    func speaking() {
        #expect(closes(patience: 30, spoken: 1) { _ in 0 } == 2)
    }
}
