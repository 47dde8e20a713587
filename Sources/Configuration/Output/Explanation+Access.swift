internal import Rules

/// What access rules do with a described request, in words.
extension Explanation {
    struct Access {
        let isAllowed: Bool
        let lines: [String]
    }

    static func access(
        _ request: DescribedRequest, at listener: ListenerTerms, in snapshot: Snapshot
    ) -> Access {
        let table = snapshot.access
        let position = snapshot.listeners.firstIndex { $0 === listener } ?? -1
        let match = table.match(
            listener: position, httpMethod: request.httpMethod.span, path: request.path.span)
        let outcome = table.decide(match, request.caller, fields: request)
        var lines: [String] = []
        let considered = table.explain(match, request.caller, fields: request)
        if !considered.isEmpty { lines.append("access rules that name it:") }
        for consideration in considered {
            let rule = table.rules[consideration.rule]
            let mode = rule.mode == .dryRun ? ", dry run" : ""
            let items = words("deny", consideration.deny) + words("allow", consideration.allow)
            lines.append("  \(rule.name)\(mode): " + items.joined(separator: "; "))
        }
        lines.append("access: " + words(outcome.decision, table, isGRPC: request.isGRPC))
        if let rehearsal = outcome.rehearsal {
            lines.append(
                "  were dry runs enforced: " + words(rehearsal, table, isGRPC: request.isGRPC))
        }
        return Access(isAllowed: outcome.decision.isAllowed, lines: lines)
    }

    private static func words(_ list: String, _ items: [String?]) -> [String] {
        items.enumerated().map { index, unmet in
            "\(list) \(index + 1) " + (unmet.map { "does not hold: \($0)" } ?? "holds")
        }
    }

    private static func words(
        _ decision: AccessDecision, _ table: AccessTable, isGRPC: Bool
    ) -> String {
        let rule = decision.rule >= 0 ? table.rules[Int(decision.rule)].name : ""
        let item = decision.item + 1
        switch decision.reason {
        case .byDefault where decision.isAllowed: return "allowed, as access.default is allow"
        case .byDefault:
            return "denied, as access.default is deny: " + (isGRPC ? "PERMISSION_DENIED" : "403")
        case .allowItem: return "allowed by rule \(rule), allow \(item)"
        case .denyItem:
            return "denied by rule \(rule), deny \(item): "
                + (isGRPC ? "PERMISSION_DENIED" : "403")
        case .notAllowed:
            return "denied, as \(rule) says who may and no rule lets this caller in: "
                + (isGRPC ? "PERMISSION_DENIED" : "403")
        case .tokenMissing:
            return "not authenticated, as a token could help by rule \(rule), allow \(item), and "
                + "there is none: " + (isGRPC ? "UNAUTHENTICATED" : "401")
        case .tokenInvalid:
            return "not authenticated, as rule \(rule) names tokens and this one is not valid: "
                + (isGRPC ? "UNAUTHENTICATED" : "401")
        case .tokenUnavailable:
            return "undecided, as rule \(rule) names tokens and the keys for this one are not at "
                + "hand: " + (isGRPC ? "UNAVAILABLE" : "503")
        }
    }
}
