internal import Rules
internal import Wire

/// What is tried again: `retry` of routes, `retry_throttle` of upstreams.
extension SnapshotBuilder {
    private static let codesMax = 17
    private static let statusesMax = 200
    private static let methodsMax = 20

    func readRetry(_ node: NodeID) -> RetryPolicy? {
        guard let fields = checker.fields(node, RetryKey.self) else { return nil }
        var terms = RetryPolicy.Terms()
        if let value = fields[.attempts],
            let count = checker.count(value, "attempts", 2...Int64(RetryPolicy.attemptsMax))
        {
            terms.attempts = Int(count)
        }
        terms.codes = fields[.codes].map { readCodes($0, "codes") } ?? StatusCodes()
        terms.statuses = fields[.statuses].map(readStatuses) ?? []
        terms.methods = readMethods(fields, terms.statuses)
        if let value = fields[.backoff] { terms.backoff = readBackoff(value) }
        if let value = fields[.hedge], let delay = checker.duration(value, "hedge"), delay > 0 {
            terms.hedgeDelay = delay
        }
        if let value = fields[.perTryTimeout] {
            terms.perTryTimeout = checker.duration(value, "per_try_timeout") ?? 0
        }
        if let value = fields[.buffer],
            let size = checker.size(value, "a buffer", RetryKey.bufferRange)
        {
            terms.bufferBytes = Int(size)
        }
        if let value = fields[.peek] { readPeek(value, &terms) }
        if let value = fields[.budget] { terms.budget = readBudget(value) }
        checkRetry(fields, terms)
        return RetryPolicy(terms)
    }

    /// What must hold between the parts.
    private func checkRetry(_ fields: Fields<RetryKey>, _ terms: RetryPolicy.Terms) {
        if fields[.codes] == nil, fields[.statuses] == nil, terms.perTryTimeout == 0,
            terms.hedgeDelay == nil
        {
            checker.fail(
                .missingKey, fields.node, "this retry does not say what is tried again",
                expected: "codes: [UNAVAILABLE], or statuses for plain HTTP")
        }
        guard terms.hedgeDelay != nil else { return }
        for key in [RetryKey.backoff, .perTryTimeout, .statuses] {
            guard let node = fields[key] else { continue }
            checker.fail(
                .conflict, node, "'\(key.term.key)' means nothing beside 'hedge'",
                expected: "one of the two")
        }
    }

    /// gRPC statuses, by name or number, each once.
    func readCodes(_ node: NodeID, _ what: String) -> StatusCodes {
        var codes = StatusCodes()
        for item in checker.items(node, what, 1...Self.codesMax) {
            guard let code = readGRPCStatus(item) else { continue }
            if code == .ok {
                checker.fail(
                    .badValue, item, "OK is no failure", expected: "another status of gRPC")
            } else if codes.contains(code) {
                checker.fail(
                    .duplicateEntry, item,
                    "'\(checker.tree.string(item).quotable)' is listed twice",
                    expected: "each status once")
            }
            codes.insert(code)
        }
        return codes
    }

    private func readStatuses(_ node: NodeID) -> [UInt16] {
        checker.items(node, "statuses", 1...Self.statusesMax).compactMap { item in
            checker.count(item, "an HTTP status", 400...599).map { UInt16($0) }
        }
    }

    private func readMethods(_ fields: Fields<RetryKey>, _ statuses: [UInt16]) -> [[UInt8]] {
        guard let node = fields[.methods] else {
            return ["GET", "HEAD", "OPTIONS", "TRACE"].map { Array($0.utf8) }
        }
        if statuses.isEmpty, fields[.perTryTimeout] == nil, fields[.hedge] == nil {
            checker.fail(
                .conflict, node, "'methods' means nothing without statuses",
                expected: "statuses: [503]")
        }
        return checker.items(node, "methods", 1...Self.methodsMax).compactMap(readHTTPMethod)
    }

    private func readBackoff(_ node: NodeID) -> RetryBackoff {
        var backoff = RetryBackoff()
        guard let fields = checker.fields(node, BackoffKey.self) else { return backoff }
        if let value = fields[.base],
            let base = checker.duration(value, "a backoff", offAllowed: false)
        {
            backoff.base = base
            let (most, overflow) = base.multipliedReportingOverflow(by: 10)
            backoff.max = overflow ? .max : most
        }
        if let value = fields[.max],
            let most = checker.duration(value, "a backoff", offAllowed: false)
        {
            backoff.max = most
            if most < backoff.base {
                checker.fail(
                    .conflict, value,
                    "max, \(Duration.describe(most)), is below the base, "
                        + Duration.describe(backoff.base),
                    expected: "at least the base")
            }
        }
        if let value = fields[.multiplier],
            let multiplier = checker.count(value, "a multiplier", 1...10)
        {
            backoff.multiplier = Double(multiplier)
        }
        return backoff
    }

    private func readPeek(_ node: NodeID, _ terms: inout RetryPolicy.Terms) {
        if checker.tree.kind(node) == .scalar {
            terms.peekBytes = 0
            return _ = checker.choice(node, "a peek", ["off"])
        }
        guard let fields = checker.fields(node, PeekKey.self) else { return }
        if let value = fields[.bytes], let size = checker.size(value, "a peek", PeekKey.range) {
            terms.peekBytes = Int(size)
        }
        if let value = fields[.time],
            let time = checker.duration(value, "a peek's time", offAllowed: false)
        {
            terms.peekTime = time
        }
    }

    private func readBudget(_ node: NodeID) -> RetryBudget {
        var budget = RetryBudget()
        guard let fields = checker.fields(node, BudgetKey.self) else { return budget }
        if let value = fields[.ratio], let share = checker.percent(value, "a ratio") {
            budget.ratio = Self.thousandths(share)
        }
        if let value = fields[.minimum],
            let minimum = checker.count(value, "a minimum", 0...100_000)
        {
            budget.minimum = Int(minimum)
        }
        return budget
    }

    func readRetryThrottle(_ node: NodeID) -> RetryThrottle? {
        guard let fields = checker.fields(node, RetryThrottleKey.self) else { return nil }
        let share = fields[.ratio].flatMap { checker.percent($0, "a ratio") }
        guard let value = fields[.tokens], let tokens = checker.count(value, "tokens", 1...1_000)
        else { return nil }
        let ratio = share.map(Self.thousandths) ?? 100
        return RetryThrottle(maximum: Int(tokens) * 1_000, ratio: ratio)
    }

    /// Of so many of 2^32, rounded to the nearest; never nothing.
    private static func thousandths(_ share: UInt64) -> Int {
        max(1, Int((share * 1_000 + 1 << 31) >> 32))
    }
}
