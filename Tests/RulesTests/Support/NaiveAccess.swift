import Identity
import Rules
import Wire

/// A call, as far as access sees it.
struct AccessCall: CustomStringConvertible {
    enum Token { case none, invalid, unavailable, valid(issuer: Int, JSONValue) }

    var request = Request()
    var listener = 0
    var peer: PeerIdentity?
    var token = Token.none
    var source = "192.0.2.1"
    var client = "192.0.2.1"

    var caller: AccessCaller {
        var caller = AccessCaller()
        caller.peer = peer.map(AccessPeer.init)
        caller.source = IPAddress(parsing: source.utf8.span) ?? .unknown
        caller.client = IPAddress(parsing: client.utf8.span) ?? .unknown
        switch token {
        case .none: caller.token = .none
        case .invalid: caller.token = .invalid
        case .unavailable: caller.token = .unavailable
        case .valid(let issuer, let claims):
            caller.token = .valid(AccessClaims(issuer: issuer, claims: claims))
        }
        return caller
    }

    var description: String {
        "\(request) at \(listener) by \(String(describing: peer?.spiffeID)) "
            + "\(peer?.dnsNames ?? []) with \(token) from \(source) for \(client)"
    }
}

extension AccessTable {
    func outcome(_ call: AccessCall) -> AccessOutcome {
        let match = match(
            listener: call.listener, httpMethod: call.request.method.utf8.span,
            path: call.request.path.utf8.span)
        return decide(match, call.caller, fields: call.request)
    }
}

/// The rules of access as they are told, without regard to cost: written from the design alone, not
/// from the table.
struct NaiveAccess {
    let rules: [AccessRule]
    let allowsByDefault: Bool

    func verdict(_ call: AccessCall, withDryRuns: Bool = false) -> AccessDecision.Verdict {
        let counting = rules.filter { rule in
            (rule.mode == .enforce || withDryRuns) && Self.names(rule, call)
        }
        // 1: a deny item of any.
        for rule in counting {
            for item in rule.deny where Self.holds(item, call, toDeny: true) { return .denied }
        }
        // A token that is there must be valid wherever tokens are named.
        if counting.contains(where: { ($0.deny + $0.allow).contains { $0.token != nil } }) {
            if case .invalid = call.token { return .unauthenticated }
            if case .unavailable = call.token { return .unavailable }
        }
        // 2: an allow item of any.
        let allows = counting.flatMap(\.allow)
        for item in allows where Self.holds(item, call, toDeny: false) { return .allowed }
        // 3: somebody may, and this caller is not among them.
        if !allows.isEmpty {
            guard case .none = call.token else { return .denied }
            return allows.contains { Self.wouldHold($0, withTokenAnd: call) }
                ? .unauthenticated : .denied
        }
        // 4.
        return allowsByDefault ? .allowed : .denied
    }

    static func names(_ rule: AccessRule, _ call: AccessCall) -> Bool {
        if let listeners = rule.listeners, !listeners.contains(call.listener) { return false }
        let path = call.request.path.split(
            separator: "?", maxSplits: 1, omittingEmptySubsequences: false)[0]
        return rule.patterns.contains { pattern in
            if let method = pattern.httpMethod, method != Array(call.request.method.utf8) {
                return false
            }
            switch pattern.path {
            case .any: return true
            case .exact(let text): return Array(path.utf8) == text
            case .prefix(let bytes):
                let text = String(decoding: bytes, as: UTF8.self)
                if text.hasSuffix(".") { return path.hasPrefix(text) }
                return "\(path)/".hasPrefix(text.hasSuffix("/") ? text : text + "/")
            }
        }
    }

    static func holds(_ item: AccessItem, _ call: AccessCall, toDeny: Bool) -> Bool {
        guard holdsWithoutToken(item, call, toDeny: toDeny) else { return false }
        guard let condition = item.token else { return true }
        guard case .valid(let issuer, let claims) = call.token, issuer == condition.issuer else {
            return false
        }
        return condition.claims.allSatisfy { holds($0, claims, call, toDeny: toDeny) }
    }

    private static func wouldHold(_ item: AccessItem, withTokenAnd call: AccessCall) -> Bool {
        guard let token = item.token, holdsWithoutToken(item, call, toDeny: false) else {
            return false
        }
        return token.claims.allSatisfy { claim in
            guard case .header(let name) = claim.test else { return true }
            return values(name, call).count == 1
        }
    }

    private static func holdsWithoutToken(
        _ item: AccessItem, _ call: AccessCall, toDeny: Bool
    ) -> Bool {
        if let ranges = item.source, !ranges.contains(where: { within(call.source, $0) }) {
            return false
        }
        if let ranges = item.client, !ranges.contains(where: { within(call.client, $0) }) {
            return false
        }
        if let peers = item.peers {
            guard let peer = call.peer, peers.contains(where: { matches($0, peer) }) else {
                return false
            }
        }
        return item.headers.allSatisfy { condition in
            let values = values(condition.name, call)
            if condition.predicate == .absent { return values.isEmpty }
            let accepted = values.filter { condition.predicate.accepts(Array($0.utf8).span) }
            return toDeny ? !accepted.isEmpty : values.count == 1 && accepted.count == 1
        }
    }

    private static func matches(_ pattern: PeerPattern, _ peer: PeerIdentity) -> Bool {
        let text = "\(pattern)"
        if text == "verified" { return true }
        if text.hasPrefix("dns:") {
            return peer.spiffeID == nil && peer.dnsNames.contains(String(text.dropFirst(4)))
        }
        guard let id = peer.spiffeID?.description else { return false }
        let wanted = text.split(separator: "/", omittingEmptySubsequences: false)
        let segments = id.split(separator: "/", omittingEmptySubsequences: false)
        if wanted.last == "*" {
            return segments.count >= wanted.count
                && segments.prefix(wanted.count - 1) == wanted.prefix(wanted.count - 1)
        }
        return segments == wanted
    }

    private static func holds(
        _ condition: ClaimCondition, _ claims: JSONValue, _ call: AccessCall, toDeny: Bool
    ) -> Bool {
        var value = claims
        for name in condition.path {
            guard let inner = value[String(decoding: name, as: UTF8.self)] else { return false }
            value = inner
        }
        let text = { (bytes: [UInt8]) in String(decoding: bytes, as: UTF8.self) }
        switch condition.test {
        case .present: return value != .null
        case .equals(let wanted): return word(value) == text(wanted)
        case .oneOf(let wanted): return wanted.contains { word(value) == text($0) }
        case .prefix(let wanted):
            if case .string(let string) = value { return string.hasPrefix(text(wanted)) }
            return false
        case .has(let wanted):
            if case .array(let values) = value {
                return values.contains { word($0) == text(wanted) }
            }
            if case .string(let string) = value {
                return string.split(separator: " ").contains { $0 == text(wanted) }
            }
            return false
        case .header(let name):
            let values = values(name, call)
            let same = values.filter { $0 == word(value) }
            return toDeny ? !same.isEmpty : values.count == 1 && same.count == 1
        }
    }

    /// A scalar as a condition reads it.
    private static func word(_ value: JSONValue) -> String? {
        switch value {
        case .string(let text): text
        case .integer(let number): "\(number)"
        case .bool(let isTrue): "\(isTrue)"
        case .null, .number, .array, .object: nil
        }
    }

    private static func values(_ name: [UInt8], _ call: AccessCall) -> [String] {
        call.request.headers.filter { Array($0.name.utf8) == name }.map(\.value)
    }

    /// IPv4 alone, by its bits as text.
    private static func within(_ address: String, _ range: AddressRange) -> Bool {
        let parts = "\(range)".split(separator: "/")
        let length = parts.count > 1 ? Int(parts[1]) ?? 32 : 32
        return bits(address).prefix(length) == bits(String(parts[0])).prefix(length)
    }

    private static func bits(_ address: String) -> String {
        address.split(separator: ".").map { octet in
            let bits = String(UInt8(octet) ?? 0, radix: 2)
            return String(repeating: "0", count: 8 - bits.count) + bits
        }.joined()
    }
}

extension AccessPattern {
    static func exact(_ path: String) -> AccessPattern {
        AccessPattern(path: .exact(Array(path.utf8)))
    }

    static func prefix(_ path: String) -> AccessPattern {
        AccessPattern(path: .prefix(Array(path.utf8)))
    }
}

extension PeerIdentity {
    static func spiffe(_ id: String) throws -> PeerIdentity {
        PeerIdentity(
            spiffeID: try SPIFFEID(id), dnsNames: [], trust: "mesh", expiresAt: 0, fingerprint: [])
    }

    static func dns(_ names: String...) -> PeerIdentity {
        PeerIdentity(
            spiffeID: nil, dnsNames: names, trust: "mesh", expiresAt: 0, fingerprint: [])
    }
}
