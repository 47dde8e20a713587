/// What a condition on a field or a parameter came to.
enum ConditionVerdict {
    case holds
    /// It is not there.
    case missing
    /// It occurs more than once.
    case repeated
    /// It is there and should not be.
    case present
    case differs
}

/// A condition that does not hold, by its position.
struct UnmetCondition {
    let position: Int
    let verdict: ConditionVerdict
}

extension RouteTable.Parts {
    /// The first condition of a candidate that does not hold, or nil.
    func firstUnmet(
        _ candidate: RouteTable.Candidate, _ query: Span<UInt8>,
        _ fields: borrowing some RequestFields
    ) -> UnmetCondition? {
        let first = Int(candidate.firstCondition)
        let headersEnd = first &+ Int(candidate.headers)
        for position in first..<headersEnd {
            let verdict = verdict(conditions[position], fields)
            if verdict != .holds { return UnmetCondition(position: position, verdict: verdict) }
        }
        for position in headersEnd..<(headersEnd &+ Int(candidate.parameters)) {
            let verdict = verdict(conditions[position], query: query)
            if verdict != .holds { return UnmetCondition(position: position, verdict: verdict) }
        }
        return nil
    }

    private func verdict(
        _ condition: RouteTable.Condition, _ fields: borrowing some RequestFields
    ) -> ConditionVerdict {
        var occurrences = 0
        var isAccepted = false
        fields.forEachValue(of: bytes.span.extracting(condition.name.range)) { value in
            occurrences &+= 1
            if occurrences == 1 { isAccepted = accepts(condition, value) }
        }
        return verdict(condition, occurrences, isAccepted)
    }

    private func verdict(
        _ condition: RouteTable.Condition, query: Span<UInt8>
    ) -> ConditionVerdict {
        var occurrences = 0
        var isAccepted = false
        var start = 0
        while start < query.count {
            var end = start
            var equals = query.count
            while end < query.count, query[end] != UInt8(ascii: "&") {
                if query[end] == UInt8(ascii: "="), equals > end { equals = end }
                end &+= 1
            }
            let nameEnd = min(equals, end)
            if isText(condition.name, query.extracting(start..<nameEnd)) {
                occurrences &+= 1
                let value = query.extracting(min(nameEnd &+ 1, end)..<end)
                if occurrences == 1 { isAccepted = accepts(condition, value) }
            }
            start = end &+ 1
        }
        return verdict(condition, occurrences, isAccepted)
    }

    private func verdict(
        _ condition: RouteTable.Condition, _ occurrences: Int, _ isAccepted: Bool
    ) -> ConditionVerdict {
        if condition.comparison == .absent { return occurrences == 0 ? .holds : .present }
        switch occurrences {
        case 0: return .missing
        case 1: return isAccepted ? .holds : .differs
        default: return .repeated
        }
    }

    private func accepts(_ condition: RouteTable.Condition, _ value: Span<UInt8>) -> Bool {
        if condition.comparison == .regex {
            return expressions[Int(condition.text.start)].verdict(on: value) == .matches
        }
        return condition.comparison.holds(bytes.span.extracting(condition.text.range), value)
    }
}
