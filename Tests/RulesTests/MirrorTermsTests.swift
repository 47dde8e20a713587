import Rules
import Testing

@Suite struct MirrorTermsTests {
    private static let shares: [(hundredths: UInt64, chosen: ClosedRange<Int>)] = [
        (0, 0...0), (1, 0...10), (2_500, 2_300...2_700), (5_000, 4_750...5_250),
        (10_000, 10_000...10_000),
    ]

    @Test("a share of the requests gets a copy, none of 0 and all of 100%", arguments: shares)
    func share(hundredths: UInt64, chosen: ClosedRange<Int>) {
        let terms = MirrorTerms(upstream: 0, share: (hundredths << 32) / 10_000)
        var draw: UInt64 = 1
        let count = (0..<10_000).count { _ in
            draw = draw &* 0x5851_f42d_4c95_7f2d &+ 0x1405_7b7e_f767_814f
            return terms.isChosen(draw: draw >> 16)
        }
        #expect(chosen.contains(count), "\(count)")
    }

    private static let second: Int64 = 1_000_000_000
    private static let ends: [(deadline: Int64, end: Int64)] = [
        (0, 40 * second), (11 * second, 11 * second), (9 * second, 9 * second),
        (40 * second, 40 * second), (41 * second, 40 * second), (.max, 40 * second),
    ]

    @Test("a copy has what is left of the request's time, and 30 s at most", arguments: ends)
    func end(deadline: Int64, end: Int64) {
        #expect(MirrorTerms.end(of: deadline, now: 10 * Self.second) == end)
    }
}
