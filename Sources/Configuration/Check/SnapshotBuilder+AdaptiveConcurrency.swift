internal import Rules

/// An upstream's adaptive concurrency.
extension SnapshotBuilder {
    func readAdaptiveConcurrency(_ node: NodeID) -> GradientTerms? {
        guard let fields = checker.fields(node, AdaptiveConcurrencyKey.self) else { return nil }
        var terms = GradientTerms()
        func count(
            _ key: AdaptiveConcurrencyKey, _ what: String, _ range: ClosedRange<Int64>,
            _ value: inout Int
        ) {
            guard let node = fields[key], let number = checker.count(node, what, range) else {
                return
            }
            value = Int(number)
        }
        count(.min, "a least limit", AdaptiveConcurrencyKey.range, &terms.least)
        count(.max, "a highest limit", AdaptiveConcurrencyKey.range, &terms.most)
        count(.requests, "a number of requests", 1...10_000, &terms.requests)
        if let node = fields[.interval] {
            terms.interval =
                checker.duration(node, "an interval", offAllowed: false) ?? terms.interval
        }
        if let node = fields[.window] {
            terms.window = checker.duration(node, "a window", offAllowed: false) ?? terms.window
        }
        if let node = fields[.tolerance], let share = checker.percent(node, "a tolerance") {
            terms.tolerance = Double(share) / 4_294_967_296
        }
        if terms.least > terms.most {
            checker.fail(
                .conflict, node, "min, \(terms.least), is above max, \(terms.most)",
                expected: "max to be at least as large")
        }
        if terms.window >= terms.interval {
            checker.fail(
                .conflict, node, "the window is no shorter than the interval",
                expected: "many windows in an interval")
        }
        return terms
    }
}
