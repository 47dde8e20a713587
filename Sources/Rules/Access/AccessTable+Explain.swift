internal import Wire

/// A rule that names a request, and what became of its items.
public struct AccessConsideration: Sendable, Equatable {
    public let rule: Int
    /// For each item of `deny`, in order, why it does not hold; nil where it does.
    public let deny: [String?]
    /// The same of `allow`.
    public let allow: [String?]
}

extension AccessTable {
    /// Every rule that names a request, in their order, dry runs too.
    public func explain(
        _ match: AccessMatch, _ caller: AccessCaller,
        fields: borrowing some RequestFields
    ) -> [AccessConsideration] {
        var considerations: [AccessConsideration] = []
        var walk = AccessWalk(includesDryRuns: true)
        while let position = walk.next(match, in: parts) {
            if considerations.contains(where: { $0.rule == position }) { continue }
            let rule = parts.rules[position]
            var words: [[String?]] = []
            for (items, effect) in [(rule.deny, AccessEffect.deny), (rule.allow, .allow)] {
                var unmet: [String?] = []
                for place in items.range {
                    let item = parts.items[place]
                    unmet.append(self.words(parts.unmet(item, effect, caller, fields)))
                }
                words.append(unmet)
            }
            considerations.append(
                AccessConsideration(rule: position, deny: words[0], allow: words[1]))
        }
        return considerations.sorted { $0.rule < $1.rule }
    }

    private func words(_ unmet: UnmetAccess) -> String? {
        switch unmet {
        case .nothing: nil
        case .noPeer: "the caller has no verified certificate"
        case .peer: "the peer is none of its peers"
        case .source: "the source is in none of its ranges"
        case .client: "the client is in none of its ranges"
        case .header(let position):
            "the header \(text(parts.headers[position].name)) is not as it asks"
        case .tokenMissing: "there is no token"
        case .tokenUnusable: "the token is not valid"
        case .issuer: "the token is another issuer's"
        case .claim(let position):
            "the claim \(path(parts.claims[position])) is not as it asks"
        }
    }

    private func path(_ claim: Claim) -> String {
        claim.path.range.map { text(parts.texts[$0]) }.joined(separator: "/")
    }

    private func text(_ slice: Slice) -> String {
        String(decoding: parts.bytes[slice.range], as: UTF8.self)
    }
}
