internal import Rules

// The keys of an upstream's adaptive concurrency.

enum AdaptiveConcurrencyKey: Int, LanguageKey {
    case min, max, requests, interval, window, tolerance

    static let table = makeTable("adaptive concurrency")
    static let range: ClosedRange<Int64> = 1...1_000_000

    private static let usual = GradientTerms()

    var term: Term {
        let counts = Int(Self.range.lowerBound)...Int(Self.range.upperBound)
        switch self {
        case .min:
            return Term(
                "min", .count(counts),
                "The least that it may be, in the whole process; while it measures it is that",
                byDefault: "\(Self.usual.least)")
        case .max:
            return Term(
                "max", .count(counts), "The most that it may be, in the whole process",
                byDefault: "\(Self.usual.most)")
        case .requests:
            return Term(
                "requests", .count(1...10_000),
                "Answers that make a measurement of the shortest time, for each worker",
                byDefault: "\(Self.usual.requests)")
        case .interval:
            return Term(
                "interval", .duration(offAllowed: false),
                "From one measurement to the next, give or take a tenth",
                byDefault: Duration.describe(Self.usual.interval))
        case .window:
            return Term(
                "window", .duration(offAllowed: false), "How often it is changed in between",
                byDefault: Duration.describe(Self.usual.window))
        case .tolerance:
            return Term(
                "tolerance", .percent,
                "How much longer than the shortest time is no reason to lower it",
                byDefault: "25%")
        }
    }
}
