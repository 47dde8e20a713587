internal import Wire

/// Compiles patterns into the arrays of a `RouteTable`, in time proportional to their number.
struct RouteTableBuilder {
    private let patterns: [RoutePattern]
    private(set) var parts = RouteTable.Parts()
    var problems: [RouteProblem] = []

    private var hostPositions: [[UInt8]: Int] = [:]
    /// Per pattern, which group of candidates it belongs to: a path's position, or for any path the
    /// host's as a negative number.
    private var groups: [Int] = []

    init(_ patterns: [RoutePattern]) { self.patterns = patterns }

    /// Fills `parts` and `problems`. With problems that are limits, parts are of no use.
    mutating func build() {
        addHosts()
        addPaths()
        let positions = groupedPositions()
        parts.candidates.reserveCapacity(patterns.count)
        parts.patternCount = patterns.count
        var start = 0
        while start < positions.count {
            var end = start + 1
            while end < positions.count, groups[positions[end]] == groups[positions[start]] {
                end += 1
            }
            addGroup(positions[start..<end])
            start = end
        }
        // Positions in the bytes have 32 bits.
        if parts.bytes.count > UInt32.max { fail(0, .textTooLong) }
    }

    private mutating func fail(_ pattern: Int, _ kind: RouteProblem.Kind) {
        problems.append(RouteProblem(pattern: pattern, kind: kind))
    }

    private mutating func append(_ bytes: [UInt8]) -> RouteTable.Slice {
        let start = UInt32(truncatingIfNeeded: parts.bytes.count)
        parts.bytes += bytes
        return RouteTable.Slice(start: start, count: UInt32(truncatingIfNeeded: bytes.count))
    }
}

/// Hosts.
extension RouteTableBuilder {
    private mutating func addHosts() {
        for pattern in patterns {
            guard let text = pattern.host.text, hostPositions[text] == nil else { continue }
            hostPositions[text] = parts.hosts.count
            let slice = append(text)
            parts.hosts.append(RouteTable.Host(text: slice))
        }
        parts.hostSlots = SlotTable(count: parts.hosts.count)
        for (text, position) in hostPositions {
            let hash = RouteHash(Array(text.reversed()).span).value
            parts.hostSlots.insert(position, RouteHash.key(hash, 0))
        }
        checkWildcards()
    }

    private mutating func checkWildcards() {
        let dot = UInt8(ascii: ".")
        for (index, pattern) in patterns.enumerated() {
            guard let text = pattern.host.text else { continue }
            var wildcardsAbove = 0
            var depth = 0
            for start in text.indices.reversed() where text[start] == dot {
                depth += 1
                if start > 0, hostPositions[Array(text[start...])] != nil { wildcardsAbove += 1 }
            }
            if case .wildcard = pattern.host {
                wildcardsAbove += 1
                if depth > RouteTable.wildcardLabelsMax { fail(index, .wildcardTooDeep) }
                parts.wildcardDepths |= 1 << UInt64(min(depth, 63))
            }
            if wildcardsAbove > RouteTable.wildcardsPerHostMax {
                fail(index, .tooManyWildcardsAbove)
            }
        }
    }

    private func hostPosition(_ pattern: RoutePattern) -> Int {
        pattern.host.text.flatMap { hostPositions[$0] } ?? 0
    }
}

/// Paths.
extension RouteTableBuilder {
    private mutating func addPaths() {
        parts.pathSlots = SlotTable(count: patterns.count)
        groups.reserveCapacity(patterns.count)
        for (index, pattern) in patterns.enumerated() {
            let host = hostPosition(pattern)
            guard let (path, kind) = pattern.path.key else {
                groups.append(-1 - host)
                continue
            }
            if path.count > UInt16.max { fail(index, .textTooLong) }
            if kind == .exact {
                parts.hosts[host].hasExactPaths = true
            } else {
                let depth = PathPrefixes.depth(path.span, kind)
                if depth > RouteTable.prefixDepthMax { fail(index, .prefixTooDeep) }
                parts.hosts[host].prefixDepths |= 1 << UInt64(min(depth, 63))
                parts.prefixDepth = max(parts.prefixDepth, min(depth, RouteTable.prefixDepthMax))
            }
            groups.append(addPath(path, owner: UInt32(host) << 2 | kind.rawValue))
        }
    }

    private mutating func addPath(_ path: [UInt8], owner: UInt32) -> Int {
        let hash = RouteHash(path.span).value
        if let position = parts.findPath(path.span, hash, owner) { return position }
        let slice = append(path)
        let count = UInt16(clamping: path.count)
        parts.pathSlots.insert(parts.paths.count, RouteHash.key(hash, owner))
        parts.paths.append(RouteTable.Path(start: slice.start, count: count, owner: owner))
        return parts.paths.count - 1
    }
}

/// Candidates.
extension RouteTableBuilder {
    /// The patterns' positions, those of one group together, otherwise in their order: two passes
    /// that count and place.
    private func groupedPositions() -> [Int] {
        let hosts = parts.hosts.count
        var starts = [Int](repeating: 0, count: hosts + parts.paths.count + 1)
        for group in groups { starts[group + hosts + 1] += 1 }
        for index in starts.indices.dropFirst() { starts[index] += starts[index - 1] }
        var positions = [Int](repeating: 0, count: groups.count)
        for (position, group) in groups.enumerated() {
            positions[starts[group + hosts]] = position
            starts[group + hosts] += 1
        }
        return positions
    }

    private mutating func addGroup(_ unsorted: ArraySlice<Int>) {
        guard let position = unsorted.first else { return }
        let first = UInt32(parts.candidates.count)
        let count = min(unsorted.count, RouteTable.patternsPerKeyMax)
        if unsorted.count > count {
            fail(unsorted[unsorted.startIndex + count], .tooManyWithSameHostAndPath)
        }
        let group = groups[position]
        if group < 0 {
            parts.hosts[-1 - group].firstCandidate = first
            parts.hosts[-1 - group].candidateCount = UInt8(count)
        } else {
            parts.paths[group].firstCandidate = first
            parts.paths[group].candidateCount = UInt16(count)
        }
        if unsorted.count == 1 {
            addCandidate(position)
            return
        }
        findSame(unsorted.prefix(count))
        for position in unsorted.sorted(by: isMoreSpecific) { addCandidate(position) }
    }

    /// The order among patterns with the same host and path.
    private func isMoreSpecific(_ left: Int, _ right: Int) -> Bool {
        let (a, b) = (patterns[left], patterns[right])
        if (a.httpMethod != nil) != (b.httpMethod != nil) { return a.httpMethod != nil }
        if a.headers.count != b.headers.count { return a.headers.count > b.headers.count }
        if a.query.count != b.query.count { return a.query.count > b.query.count }
        if a.routeName != b.routeName { return a.routeName < b.routeName }
        return left < right
    }

    private mutating func findSame(_ positions: ArraySlice<Int>) {
        let conditions = positions.map { patterns[$0].canonicalConditions }
        for (index, position) in positions.enumerated() {
            guard let same = conditions[..<index].firstIndex(of: conditions[index]) else {
                continue
            }
            fail(position, .sameAs(pattern: positions[positions.startIndex + same]))
        }
    }

    private mutating func addCandidate(_ position: Int) {
        let pattern = patterns[position]
        var candidate = RouteTable.Candidate(
            route: UInt32(truncatingIfNeeded: pattern.route),
            pattern: UInt32(truncatingIfNeeded: position))
        candidate.firstCondition = UInt32(truncatingIfNeeded: parts.conditions.count)
        candidate.headers = UInt8(clamping: pattern.headers.count)
        candidate.parameters = UInt8(clamping: pattern.query.count)
        if max(pattern.headers.count, pattern.query.count) > RouteTable.conditionsMax {
            fail(position, .tooManyConditions)
        }
        for condition in pattern.headers {
            addCondition(condition.name.map(\.lowercasedASCII), condition.predicate, position)
        }
        for condition in pattern.query {
            addCondition(condition.name, condition.predicate, position)
        }
        if let method = pattern.httpMethod { candidate.method = addMethod(method, position) }
        parts.candidates.append(candidate)
    }

    private mutating func addMethod(_ method: [UInt8], _ position: Int) -> UInt8 {
        let known = parts.methods.firstIndex { parts.isText($0, method.span) }
        if let known { return UInt8(known + 1) }
        guard parts.methods.count < RouteTable.methodsMax else {
            fail(position, .tooManyMethods)
            return 0
        }
        let slice = append(method)
        parts.methods.append(slice)
        return UInt8(parts.methods.count)
    }

    private mutating func addCondition(
        _ name: [UInt8], _ predicate: StringPredicate, _ position: Int
    ) {
        let comparison = predicate.comparison
        var text = RouteTable.Slice()
        if case .regex(let expression) = predicate {
            text.start = UInt32(truncatingIfNeeded: parts.expressions.count)
            parts.expressions.append(expression)
        } else if let bytes = predicate.text {
            text = append(bytes)
            if comparison == .contains, bytes.count > RouteTable.containsBytesMax {
                fail(position, .textTooLong)
            }
        }
        let nameSlice = append(name)
        parts.conditions.append(
            RouteTable.Condition(name: nameSlice, text: text, comparison: comparison))
    }
}

extension HostPattern {
    /// The key that this host is found by, in lower case; nil for any.
    fileprivate var text: [UInt8]? {
        switch self {
        case .any: nil
        case .exact(let host): host.map(\.lowercasedASCII)
        case .wildcard(let suffix): suffix.map(\.lowercasedASCII)
        }
    }
}

extension PathPattern {
    /// The key that this path is found by; nil for any.
    var key: ([UInt8], PathKind)? {
        switch self {
        case .any: return nil
        case .exact(let path): return (path, .exact)
        case .prefix(let prefix):
            if prefix.last == UInt8(ascii: ".") { return (prefix, .dotted) }
            let segments = prefix.last == UInt8(ascii: "/") ? Array(prefix.dropLast()) : prefix
            return segments.isEmpty ? nil : (segments, .segments)
        }
    }
}

extension StringPredicate {
    var comparison: Comparison {
        switch self {
        case .exact: .exact
        case .prefix: .prefix
        case .suffix: .suffix
        case .contains: .contains
        case .regex: .regex
        case .present: .present
        case .absent: .absent
        }
    }

    /// What is compared with; a regular expression's pattern.
    var text: [UInt8]? {
        switch self {
        case .exact(let text), .prefix(let text), .suffix(let text), .contains(let text): text
        case .regex(let expression): expression.pattern
        case .present, .absent: nil
        }
    }
}

extension RoutePattern {
    /// Method and conditions in one order and without repetition: equal for patterns that ask the
    /// same.
    fileprivate var canonicalConditions: [[UInt8]] {
        let onHeaders = headers.map { condition in
            Self.canonical(0, condition.name.map(\.lowercasedASCII), condition.predicate)
        }
        let onQuery = query.map { Self.canonical(1, $0.name, $0.predicate) }
        var rows: [[UInt8]] = []
        for row in (onHeaders + onQuery).sorted(by: { $0.lexicographicallyPrecedes($1) })
        where row != rows.last {
            rows.append(row)
        }
        return rows + [httpMethod.map { [1] + $0 } ?? [0]]
    }

    private static func canonical(
        _ place: UInt8, _ name: [UInt8], _ predicate: StringPredicate
    ) -> [UInt8] {
        // No name holds a NUL, so it can end one.
        [place] + name + [0, predicate.comparison.rawValue] + (predicate.text ?? [])
    }
}
