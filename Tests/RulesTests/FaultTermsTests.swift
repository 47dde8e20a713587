import Testing

@testable import Rules

@Suite struct FaultTermsTests {
    private static let shares: [(String, hundredths: UInt64?)] = [
        ("0", 0), ("0%", 0), ("100", 10_000), ("100%", 10_000), ("100.00%", 10_000), ("7", 700),
        ("0.5", 50), ("0.25%", 25), ("12.3", 1_230), ("007", 700),
        ("", nil), ("%", nil), ("101", nil), ("100.01", nil), ("-1", nil), ("1.", nil), (".5", nil),
        ("1.234", nil), ("1.2.3", nil), ("5 %", nil), ("0x5", nil), ("1e1", nil), ("9999999", nil),
    ]

    @Test("a header's share is a number of a hundred, or nothing", arguments: shares)
    func parsing(text: String, hundredths: UInt64?) {
        #expect(FaultTerms.share(text.utf8.span) == hundredths.map { ($0 << 32) / 10_000 })
    }

    struct Fields: RequestFields {
        let values: [String]

        func forEachValue(of name: Span<UInt8>, _ body: (Span<UInt8>) -> Void) {
            for value in values { body(value.utf8.span) }
        }
    }

    private static let ceilings: [(values: [String], hundredths: UInt64)] = [
        ([], 10_000), (["5"], 500), (["50", "10", "20"], 1_000), (["junk"], 10_000),
        (["junk", "1%"], 100), (["0"], 0),
    ]

    @Test("of several values the lowest counts", arguments: ceilings)
    func ceiling(values: [String], hundredths: UInt64) {
        let terms = FaultTerms(delay: nil, abort: nil, loweredBy: [0x78])
        #expect(terms.ceiling(Fields(values: values)) == (hundredths << 32) / 10_000)
        let without = FaultTerms(delay: nil, abort: nil, loweredBy: nil)
        #expect(without.ceiling(Fields(values: values)) == FaultTerms.whole)
    }

    private static let draws: [(share: UInt64, ceiling: UInt64, draw: UInt64, Bool)] = [
        (FaultTerms.whole, FaultTerms.whole, .max, true), (0, FaultTerms.whole, 0, false),
        (1 << 31, FaultTerms.whole, 1 << 31, false), (1 << 31, FaultTerms.whole, 1 << 31 - 1, true),
        // A caller can only lower it.
        (1 << 31, 1 << 30, 1 << 30, false), (1 << 30, 1 << 31, 1 << 30, false),
        (FaultTerms.whole, 0, 0, false),
    ]

    @Test("a fault happens to its share of all draws", arguments: draws)
    func draw(share: UInt64, ceiling: UInt64, draw: UInt64, happens: Bool) {
        #expect(FaultTerms.happens(share, ceiling, draw: draw) == happens)
    }
}
