internal import Rules

/// Every method that is declared somewhere, and who may call it, in words.
public struct AccessMatrix: Sendable {
    public private(set) var lines: [String] = []
    /// Methods that no rule says anything about and that everybody may call.
    public private(set) var unguarded: [String] = []

    private let snapshot: Snapshot

    /// - methods: those of descriptors, `pkg.Service/Method`. Those that routes and rules name are
    ///   added.
    public init(_ snapshot: Snapshot, methods: [String]) {
        self.snapshot = snapshot
        var declared = Set(methods)
        declared.formUnion(Self.methods(of: snapshot))
        for method in declared.sorted() { add(method) }
    }

    private static func methods(of snapshot: Snapshot) -> [String] {
        let routes = snapshot.listeners.flatMap { listener in
            listener.routes.entries.filter { snapshot.routes[$0.route].isGRPCOnly }.map(\.path)
        }
        let rules = snapshot.access.rules.flatMap(\.patterns).map { pattern in
            pattern.httpMethod == nil ? pattern.path.text : ""
        }
        return (routes + rules).filter { $0.utf8.count(where: { $0 == 0x2f }) == 2 }
            .map { String($0.dropFirst()) }
    }

    private mutating func add(_ method: String) {
        // Of a whole service: a method that no rule names by itself.
        let path = method.hasSuffix("/*") ? method.dropLast() + "_" : method[...]
        var places: [(listeners: [String], words: [String])] = []
        var open: [String] = []
        for (position, listener) in snapshot.listeners.enumerated() {
            let rules = snapshot.access.rules(
                naming: Array(("/" + path).utf8), httpMethod: nil, listener: position)
            let words = words(rules)
            if let same = places.firstIndex(where: { $0.words == words }) {
                places[same].listeners.append(listener.name)
            } else {
                places.append(([listener.name], words))
            }
            let isNamed = rules.contains { snapshot.access.rules[$0].mode == .enforce }
            if snapshot.access.byDefault == .allow, !isNamed { open.append(listener.name) }
        }
        if !open.isEmpty { unguarded.append("\(method) at \(open.joined(separator: ", "))") }
        for place in places {
            let listeners =
                place.listeners.count == snapshot.listeners.count
                ? "" : " at " + place.listeners.joined(separator: ", ")
            lines.append(method + listeners)
            lines += place.words.map { "  " + $0 }
        }
    }

    private func words(_ rules: [Int]) -> [String] {
        let rules = rules.map { snapshot.access.rules[$0] }
        var words: [String] = []
        for (list, items) in [("deny", \AccessRule.deny), ("allow", \AccessRule.allow)] {
            for rule in rules {
                let mode = rule.mode == .dryRun ? " (dry run)" : ""
                words += rule[keyPath: items].map { item in
                    "\(list)\(mode): \(item.words(snapshot)), by rule \(rule.name)"
                }
            }
        }
        let isClosed = rules.contains { $0.mode == .enforce && !$0.allow.isEmpty }
        if isClosed { return words + ["nobody else"] }
        let byDefault = snapshot.access.byDefault
        return words + [
            (byDefault == .allow ? "everybody" : "nobody") + (words.isEmpty ? "" : " else")
                + ", by access.default"
        ]
    }
}

extension PathPattern {
    /// `/pkg.Svc/M` or `/pkg.Svc/*`; empty for what is neither.
    fileprivate var text: String {
        switch self {
        case .exact(let path): String(decoding: path, as: UTF8.self)
        case .prefix(let path) where path.last == 0x2f:
            String(decoding: path, as: UTF8.self) + "*"
        case .any, .prefix: ""
        }
    }
}

extension AccessItem {
    /// All of its conditions.
    fileprivate func words(_ snapshot: Snapshot) -> String {
        var words: [String] = []
        if let peers { words.append("peers " + Self.list(peers)) }
        if let token { words.append("a token of " + Self.words(token)) }
        if let source { words.append("from " + Self.list(source)) }
        if let client { words.append("for clients " + Self.list(client)) }
        words += headers.map { header in
            "with header \(text(header.name)) \(header.predicate.words)"
        }
        return words.isEmpty ? "everybody" : words.joined(separator: ", ")
    }

    private static func list(_ parts: [some CustomStringConvertible]) -> String {
        parts.map(\.description).joined(separator: " or ")
    }

    private static func words(_ token: TokenCondition) -> String {
        let claims = token.claims.map { claim in
            let name = claim.path.map(text).joined(separator: "/")
            return switch claim.test {
            case .equals(let value): "\(name) \(text(value))"
            case .oneOf(let values): "\(name) one of \(values.map(text).joined(separator: ", "))"
            case .has(let value): "\(name) has \(text(value))"
            case .prefix(let value): "\(name) begins with \(text(value))"
            case .present: "\(name) present"
            case .header(let header): "\(name) as header \(text(header))"
            }
        }
        let issuer = "issuer \(token.issuer)"
        return claims.isEmpty ? issuer : issuer + " with " + claims.joined(separator: ", ")
    }
}

extension StringPredicate {
    fileprivate var words: String {
        switch self {
        case .exact(let value): "'\(text(value))'"
        case .prefix(let value): "beginning with '\(text(value))'"
        case .suffix(let value): "ending with '\(text(value))'"
        case .contains(let value): "containing '\(text(value))'"
        case .regex(let expression): "like /\(text(expression.pattern))/"
        case .present: "present"
        case .absent: "absent"
        }
    }
}

private func text(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self).quotable }
