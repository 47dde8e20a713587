internal import Rules
internal import Wire

/// Active checks, ejection, and what counts as a failure.
extension SnapshotBuilder {
    private static let serviceNameMax = 1_000
    private static let listMax = 500

    func readHealthCheck(_ node: NodeID, upstream: String) -> HealthCheckTerms? {
        guard let fields = checker.fields(node, HealthCheckKey.self),
            let kind = readCheckKind(fields, upstream)
        else { return nil }
        var terms = HealthCheckTerms(kind)
        read(&terms.intervals.steady, fields[.interval], "an interval")
        read(&terms.intervals.troubled, fields[.unhealthyInterval], "an interval")
        read(&terms.intervals.timeout, fields[.timeout], "a timeout")
        readShare(&terms.intervals.jitter, fields[.jitter], "jitter")
        terms.healthyThreshold = readThreshold(fields[.healthy], "healthy") ?? 2
        terms.unhealthyThreshold = readThreshold(fields[.unhealthy], "unhealthy") ?? 3
        terms.usesUnchecked =
            fields[.beforeFirst].flatMap {
                checker.choice($0, "before_first", ["use", "wait"])
            } != 1
        if terms.intervals.troubled > terms.intervals.steady, let node = fields[.unhealthyInterval]
        {
            checker.fail(
                .conflict, node,
                "unhealthy_interval, \(Duration.describe(terms.intervals.troubled)), is above "
                    + "interval, \(Duration.describe(terms.intervals.steady))",
                expected: "interval to be at least as long")
        }
        return terms
    }

    private func readThreshold(_ node: NodeID?, _ what: String) -> UInt32? {
        node.flatMap { checker.count($0, what, Int64(1)...1_000) }.map { UInt32($0) }
    }

    private func readCheckKind(
        _ fields: Fields<HealthCheckKey>, _ upstream: String
    ) -> HealthCheckTerms.Kind? {
        if let node = fields[.grpc] { return readGRPCCheck(node) }
        if let node = fields[.http] { return readHTTPCheck(node, upstream) }
        guard let node = fields[.tcp] else { return nil }
        return checker.readEntries(of: node, TCPCheck.table) { _, _ in true } ? .tcp : nil
    }

    private func readGRPCCheck(_ node: NodeID) -> HealthCheckTerms.Kind? {
        guard let fields = checker.fields(node, GRPCCheckKey.self) else { return nil }
        let service = fields[.service].flatMap { checker.bytes($0, "a service") } ?? []
        if service.count > Self.serviceNameMax, let node = fields[.service] {
            checker.fail(
                .outOfRange, node, "a service's name of \(service.count) bytes",
                expected: "at most \(Self.serviceNameMax)")
        }
        let watches = fields[.watch].flatMap { checker.boolean($0, "watch") } ?? false
        return .grpc(service: Array(service), watches: watches)
    }

    private func readHTTPCheck(_ node: NodeID, _ upstream: String) -> HealthCheckTerms.Kind? {
        guard let fields = checker.fields(node, HTTPCheckKey.self),
            let pathNode = fields[.path], let path = checker.bytes(pathNode, "a path")
        else { return nil }
        if path.first != UInt8(ascii: "/")
            || !path.allSatisfy({ $0 > 0x20 && $0 < 0x7f && $0 != 0x23 })
        {
            checker.fail(
                .badValue, pathNode, "\(checker.found(pathNode)) is not a path",
                expected: "'/' and what follows, percent-encoded where it must be")
        }
        var host = Array(upstream.utf8)
        if let node = fields[.host], let bytes = checker.bytes(node, "a host") {
            host = Array(bytes)
            if Authority.check(host.span) == nil {
                checker.fail(
                    .badValue, node, "\(checker.found(node)) is not a host",
                    expected: "a host, with or without a port")
            }
        }
        let statuses = fields[.statuses].map(readStatuses) ?? [200...299]
        return .http(path: Array(path), host: host, statuses: statuses)
    }

    func readEjection(_ node: NodeID) -> EjectionTerms? {
        guard let fields = checker.fields(node, EjectionKey.self) else { return nil }
        var terms = EjectionTerms()
        if let node = fields[.consecutiveFailures] {
            let range =
                Int64(EjectionKey.failures.lowerBound)...Int64(EjectionKey.failures.upperBound)
            terms.consecutiveFailures =
                isOff(node)
                ? 0
                : checker.count(node, "consecutive_failures", range).map { UInt32($0) }
                    ?? terms.consecutiveFailures
        }
        read(&terms.interval, fields[.interval], "an interval")
        read(&terms.timeBase, fields[.baseTime], "base_time")
        read(&terms.timeMax, fields[.maxTime], "max_time")
        readShare(&terms.jitter, fields[.jitter], "jitter")
        if let node = fields[.maxEjected], let share = readHundredths(node, "max_ejected") {
            terms.shareMax = share
        }
        terms.returnsOnCheck =
            fields[.returnOnCheck].flatMap { checker.boolean($0, "return_on_check") } ?? true
        terms.successRate = fields[.successRate].flatMap(readSuccessRate)
        terms.failureShare = fields[.failureShare].flatMap(readFailureShare)
        if terms.consecutiveFailures == 0, fields[.successRate] == nil, fields[.failureShare] == nil
        {
            checker.fail(
                .conflict, node, "nothing is ever ejected by this",
                expected: "consecutive_failures, success_rate or failure_share")
        }
        return terms
    }

    private func readSuccessRate(_ node: NodeID) -> EjectionTerms.SuccessRate? {
        guard let fields = checker.fields(node, SuccessRateKey.self) else { return nil }
        var terms = EjectionTerms.SuccessRate()
        if let node = fields[.deviations], let bytes = checker.bytes(node, "a number") {
            if let number = Self.thousandths(bytes), number > 0, number <= 100_000 {
                terms.deviations = number
            } else {
                checker.fail(
                    .badValue, node, "\(checker.found(node)) where a number belongs",
                    expected: "0.001 to 100, with at most three decimals")
            }
        }
        readCount(&terms.endpointsMin, fields[.minEndpoints], "min_endpoints", Shape.judged)
        readCount(&terms.callsMin, fields[.minCalls], "min_calls", Shape.calls)
        return terms
    }

    private func readFailureShare(_ node: NodeID) -> EjectionTerms.FailureShare? {
        guard let fields = checker.fields(node, FailureShareKey.self) else { return nil }
        var terms = EjectionTerms.FailureShare()
        if let node = fields[.threshold], let share = readHundredths(node, "a threshold") {
            terms.threshold = share
        }
        readCount(&terms.endpointsMin, fields[.minEndpoints], "min_endpoints", Shape.judged)
        readCount(&terms.callsMin, fields[.minCalls], "min_calls", Shape.calls)
        return terms
    }

    /// A route's `failures`.
    func readFailures(_ node: NodeID) -> FailureSet? {
        guard let fields = checker.fields(node, FailuresKey.self) else { return nil }
        if fields[.codes] == nil, fields[.statuses] == nil {
            checker.fail(
                .missingKey, node, "these failures say nothing",
                expected: "codes or statuses")
        }
        return FailureSet(
            codes: fields[.codes].map(readCodes) ?? FailureSet.standard.listedCodes,
            statuses: fields[.statuses].map(readStatuses) ?? FailureSet.standard.listedStatuses)
    }

    /// gRPC's codes by their names.
    private func readCodes(_ node: NodeID) -> [GRPCStatus] {
        let names = GRPCStatus.allCases.map { "\($0.name)" }
        var codes: [GRPCStatus] = []
        for item in items(node, "codes") {
            guard let position = checker.choice(item, "a code", names) else { continue }
            let code = GRPCStatus.allCases[position]
            if codes.contains(code) {
                checker.fail(
                    .duplicateEntry, item, "\(code.name) is listed twice",
                    expected: "each code once")
            }
            codes.append(code)
        }
        return codes
    }

    /// `503`, or `5xx` for all from 500 to 599.
    private func readStatuses(_ node: NodeID) -> [ClosedRange<UInt16>] {
        items(node, "statuses").compactMap { item in
            guard let bytes = checker.bytes(item, "a status") else { return nil }
            if bytes.count == 3, bytes.dropFirst().elementsEqual("xx".utf8),
                let first = bytes.first, first >= UInt8(ascii: "1"), first <= UInt8(ascii: "5")
            {
                let base = UInt16(first - UInt8(ascii: "0")) * 100
                return base...base + 99
            }
            if let number = Quantity.digits(bytes), number >= 100, number <= 599 {
                return UInt16(number)...UInt16(number)
            }
            checker.fail(
                .badValue, item, "\(checker.found(item)) is not a status",
                expected: "100 to 599, or a class such as 5xx")
            return nil
        }
    }

    private func items(_ node: NodeID, _ what: String) -> [NodeID] {
        checker.items(node, what, 0...Self.listMax)
    }
}

/// Values that several of these keys have.
extension SnapshotBuilder {
    private func read(_ value: inout Int64, _ node: NodeID?, _ what: String) {
        guard let node, let given = checker.duration(node, what, offAllowed: false) else { return }
        value = given
    }

    private func readCount(
        _ value: inout Int64, _ node: NodeID?, _ what: String, _ range: ClosedRange<Int>
    ) {
        let range = Int64(range.lowerBound)...Int64(range.upperBound)
        guard let node, let given = checker.count(node, what, range) else { return }
        value = given
    }

    private func readShare(_ value: inout Int64, _ node: NodeID?, _ what: String) {
        guard let node else { return }
        if isOff(node) {
            value = 0
        } else if let given = readHundredths(node, what) {
            value = given
        }
    }

    /// Hundredths of a percent.
    private func readHundredths(_ node: NodeID, _ what: String) -> Int64? {
        guard checker.percent(node, what) != nil else { return nil }
        return Percent.parse(checker.tree.bytes(node))
    }

    func isOff(_ node: NodeID) -> Bool {
        checker.tree.kind(node) == .scalar && checker.tree.bytes(node).elementsEqual("off".utf8)
    }

    /// A number with at most three decimals.
    private static func thousandths(_ text: ArraySlice<UInt8>) -> Int64? {
        let point = text.firstIndex(of: UInt8(ascii: ".")) ?? text.endIndex
        let decimals = text[point...].dropFirst()
        guard let whole = Quantity.digits(text[..<point]), whole <= 1_000_000,
            decimals.count <= 3, point == text.endIndex || !decimals.isEmpty,
            decimals.allSatisfy(\.isDigit)
        else { return nil }
        var fraction: Int64 = 0
        for place in 0..<3 {
            let index = decimals.startIndex + place
            let digit = index < decimals.endIndex ? decimals[index] - UInt8(ascii: "0") : 0
            fraction = fraction * 10 + Int64(digit)
        }
        return whole * 1_000 + fraction
    }
}
