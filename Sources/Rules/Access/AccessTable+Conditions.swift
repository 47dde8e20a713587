internal import Wire

/// The first condition of an item that does not hold. A token comes last, so that a missing one is
/// told only where nothing else is in the way.
enum UnmetAccess: BitwiseCopyable, Equatable {
    /// All of them hold.
    case nothing
    case noPeer, peer, source, client
    /// Positions in the table's lists.
    case header(Int), claim(Int)
    case tokenMissing, tokenUnusable, issuer
}

extension AccessTable.Parts {
    func unmet(
        _ item: AccessTable.Item, _ effect: AccessEffect, _ caller: AccessCaller,
        _ fields: borrowing some RequestFields
    ) -> UnmetAccess {
        if item.hasSource, !isWithin(item.source, caller.source) { return .source }
        if item.hasClient, !isWithin(item.client, caller.client) { return .client }
        if item.hasPeers {
            guard let peer = caller.peer else { return .noPeer }
            if !isOne(peer.proof, of: item.peers) { return .peer }
        }
        for position in item.headers.range
        where !holds(headers[position], effect, fields) {
            return .header(position)
        }
        return item.issuer < 0 ? .nothing : unmetToken(item, effect, caller, fields)
    }

    private func isWithin(_ items: AccessTable.Items, _ address: IPAddress) -> Bool {
        for position in items.range where ranges[position].contains(address) { return true }
        return false
    }

    private func isOne(_ proof: AccessPeer.Proof, of items: AccessTable.Items) -> Bool {
        for position in items.range where matches(peers[position], proof) { return true }
        return false
    }

    private func matches(_ pattern: AccessTable.Peer, _ proof: AccessPeer.Proof) -> Bool {
        switch pattern.kind {
        case .verified: return true
        case .exactly: return pattern.hash == proof.hash && isText(pattern.text, proof.id.span)
        case .below:
            let count = Int(pattern.text.count)
            guard proof.id.count > count else { return false }
            return isText(pattern.text, proof.id.span.extracting(0..<count))
        case .dns:
            for index in proof.dnsNames.indices {
                let name = proof.dnsNames[index]
                if isText(pattern.text, name.span) { return true }
            }
            return false
        }
    }

    /// A deny holds if any value does; an allow needs the only one, and a regular expression that
    /// gives up on a value holds for a deny alone.
    private func holds(
        _ condition: RouteTable.Condition, _ effect: AccessEffect,
        _ fields: borrowing some RequestFields
    ) -> Bool {
        var occurrences = 0
        var accepted = 0
        fields.forEachValue(of: bytes.span.extracting(condition.name.range)) { value in
            occurrences &+= 1
            if accepts(condition, effect, value) { accepted &+= 1 }
        }
        if condition.comparison == .absent { return occurrences == 0 }
        return effect == .deny ? accepted > 0 : occurrences == 1 && accepted == 1
    }

    private func accepts(
        _ condition: RouteTable.Condition, _ effect: AccessEffect, _ value: Span<UInt8>
    ) -> Bool {
        guard condition.comparison == .regex else {
            return condition.comparison.holds(bytes.span.extracting(condition.text.range), value)
        }
        switch expressions[Int(condition.text.start)].verdict(on: value) {
        case .matches: return true
        case .differs: return false
        case .exceedsLimits: return effect == .deny
        }
    }
}

/// Tokens.
extension AccessTable.Parts {
    private func unmetToken(
        _ item: AccessTable.Item, _ effect: AccessEffect, _ caller: AccessCaller,
        _ fields: borrowing some RequestFields
    ) -> UnmetAccess {
        switch caller.token {
        case .invalid, .unavailable: return .tokenUnusable
        case .none:
            // No token makes up for a header that a claim is compared with.
            for position in item.claims.range where claims[position].test == .header {
                if !isComparable(claims[position], fields) { return .claim(position) }
            }
            return .tokenMissing
        case .valid(let token):
            guard token.issuer == Int(item.issuer) else { return .issuer }
            for position in item.claims.range
            where !holds(claims[position], token.claims, effect, fields) {
                return .claim(position)
            }
            return .nothing
        }
    }

    private func isComparable(
        _ claim: AccessTable.Claim, _ fields: borrowing some RequestFields
    ) -> Bool {
        var occurrences = 0
        let name = texts[Int(claim.values.first)]
        fields.forEachValue(of: bytes.span.extracting(name.range)) { _ in occurrences &+= 1 }
        return occurrences == 1
    }

    private func holds(
        _ claim: AccessTable.Claim, _ claims: JSONValue, _ effect: AccessEffect,
        _ fields: borrowing some RequestFields
    ) -> Bool {
        guard let value = value(at: claim.path, of: claims) else { return false }
        switch claim.test {
        case .present: return value != .null
        case .equals, .oneOf:
            for position in claim.values.range
            where value.isText(bytes.span.extracting(texts[position].range)) {
                return true
            }
            return false
        case .has: return value.has(bytes.span.extracting(texts[Int(claim.values.first)].range))
        case .prefix:
            guard case .string(let text) = value else { return false }
            let prefix = bytes.span.extracting(texts[Int(claim.values.first)].range)
            return Comparison.prefix.holds(prefix, text.utf8.span)
        case .header:
            var occurrences = 0
            var same = 0
            let name = texts[Int(claim.values.first)]
            fields.forEachValue(of: bytes.span.extracting(name.range)) { field in
                occurrences &+= 1
                if value.isText(field) { same &+= 1 }
            }
            return effect == .deny ? same > 0 : occurrences == 1 && same == 1
        }
    }

    /// The claim at the end of a path of names, each but the last an object's.
    private func value(at path: AccessTable.Items, of claims: JSONValue) -> JSONValue? {
        var value = claims
        for position in path.range {
            guard case .object(let members) = value,
                let member = members.first(where: { isText(texts[position], $0.name.utf8.span) })
            else { return nil }
            value = member.value
        }
        return value
    }
}

extension JSONValue {
    /// Whether a scalar reads like this: a string's content, a whole number's digits, true or
    /// false. Numbers with fraction or exponent, null, arrays and objects never do.
    fileprivate func isText(_ text: Span<UInt8>) -> Bool {
        switch self {
        case .string(let string): Comparison.exact.holds(text, string.utf8.span)
        case .integer(let number): number.isDigits(text)
        case .bool(let isTrue):
            isTrue
                ? text.count == 4 && text.shortWord() == 0x7472_7565
                : text.count == 5 && text.shortWord() == 0x0066_616c_7365
        case .null, .number, .array, .object: false
        }
    }

    /// Whether an array has it as a member, or a string as a word between spaces.
    fileprivate func has(_ text: Span<UInt8>) -> Bool {
        switch self {
        case .array(let values):
            for index in values.indices where values[index].isText(text) { return true }
            return false
        case .string(let string): return Self.hasWord(text, in: string.utf8.span)
        default: return false
        }
    }

    private static func hasWord(_ text: Span<UInt8>, in list: Span<UInt8>) -> Bool {
        var start = 0
        while start <= list.count {
            var end = start
            while end < list.count, list[end] != UInt8(ascii: " ") { end &+= 1 }
            if end &- start == text.count, text.count > 0, isEqual(text, list, from: start) {
                return true
            }
            start = end &+ 1
        }
        return false
    }
}

extension Int64 {
    /// Whether these are its digits, as JSON writes them.
    fileprivate func isDigits(_ text: Span<UInt8>) -> Bool {
        var left = magnitude
        var index = text.count
        repeat {
            guard index > 0 else { return false }
            index &-= 1
            guard text[index] == UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: left % 10) else {
                return false
            }
            left /= 10
        } while left > 0
        return self < 0 ? index == 1 && text[0] == UInt8(ascii: "-") : index == 0
    }
}
