public import Wire

/// Why a pattern cannot be compiled, or is of no use.
public struct RouteProblem: Error, Equatable, Sendable, CustomStringConvertible {
    /// Its position in the list of patterns.
    public let pattern: Int
    public let kind: Kind

    public enum Kind: Equatable, Sendable {
        /// It matches exactly what an earlier pattern does.
        case sameAs(pattern: Int)
        /// No request has this host, or this path, since such requests are refused.
        case impossibleHost
        case impossiblePath(RequestPath.Refusal)
        case pathWithQuery
        /// Two of its conditions on this header, or parameter, exclude each other.
        case contradiction(name: [UInt8])
        // Limits.
        case tooManyWithSameHostAndPath, prefixTooDeep, tooManyWildcardsAbove, wildcardTooDeep
        case tooManyConditions, tooManyMethods, textTooLong
    }

    public init(pattern: Int, kind: Kind) {
        self.pattern = pattern
        self.kind = kind
    }

    /// True if no table can be made of patterns with this problem.
    public var isLimit: Bool {
        switch kind {
        case .sameAs, .impossibleHost, .impossiblePath, .pathWithQuery, .contradiction: false
        default: true
        }
    }

    public var description: String {
        switch kind {
        case .sameAs(let other): "matches the same requests as pattern \(other)"
        case .impossibleHost:
            "can never match: its hostname is none, or has a port or a final dot"
        case .impossiblePath(let refusal): "can never match: \(refusal.words)"
        case .pathWithQuery: "can never match: its path holds a ?, and a query is no part of a path"
        case .contradiction(let name):
            "can never match: its conditions on \(String(decoding: name, as: UTF8.self)) "
                + "contradict each other"
        case .tooManyWithSameHostAndPath:
            "is one of more than \(RouteTable.patternsPerKeyMax) with the same host and path"
        case .prefixTooDeep:
            "has a prefix with more than \(RouteTable.prefixDepthMax) slashes and dots"
        case .tooManyWildcardsAbove:
            "has a hostname that more than \(RouteTable.wildcardsPerHostMax) wildcards cover"
        case .wildcardTooDeep:
            "has a wildcard of more than \(RouteTable.wildcardLabelsMax) labels"
        case .tooManyConditions:
            "has more than \(RouteTable.conditionsMax) conditions on headers or on the query"
        case .tooManyMethods:
            "uses an HTTP method beyond the \(RouteTable.methodsMax) that all together may use"
        case .textTooLong:
            "has a path beyond 64 KiB, 4 GiB of text in all, or more than "
                + "\(RouteTable.containsBytesMax) bytes to contain"
        }
    }
}

extension RouteTable {
    /// Everything that is wrong with `patterns`, in their order.
    public static func problems(in patterns: [RoutePattern]) -> [RouteProblem] {
        var builder = RouteTableBuilder(patterns)
        builder.build()
        for position in patterns.indices {
            if let kind = patterns[position].reasonNeverToMatch {
                builder.problems.append(RouteProblem(pattern: position, kind: kind))
            }
        }
        return builder.problems.sorted { $0.pattern < $1.pattern }
    }
}

extension RoutePattern {
    /// Why no request can match this, if so.
    fileprivate var reasonNeverToMatch: RouteProblem.Kind? {
        if !host.isPossible { return .impossibleHost }
        if let reason = path.reasonNeverToMatch { return reason }
        let onHeaders = headers.map { ($0.name.map(\.lowercasedASCII), $0.predicate) }
        let onQuery = query.map { ($0.name, $0.predicate) }
        guard let name = Self.contradiction(onHeaders) ?? Self.contradiction(onQuery) else {
            return nil
        }
        return .contradiction(name: name)
    }

    private static func contradiction(_ conditions: [([UInt8], StringPredicate)]) -> [UInt8]? {
        for (index, (name, predicate)) in conditions.enumerated() {
            for (otherName, other) in conditions[..<index] where name == otherName {
                if predicate.excludes(other) { return name }
            }
        }
        return nil
    }
}

extension HostPattern {
    fileprivate var isPossible: Bool {
        switch self {
        case .any: true
        case .exact(let host): Self.isHost(host[...])
        case .wildcard(let suffix):
            suffix.first == UInt8(ascii: ".") && Self.isHost(suffix.dropFirst())
        }
    }

    private static func isHost(_ text: ArraySlice<UInt8>) -> Bool {
        let host = Array(text)
        return Authority.check(host.span) == 0..<host.count
    }
}

extension PathPattern {
    fileprivate var reasonNeverToMatch: RouteProblem.Kind? {
        switch self {
        case .any: nil
        // The one path without a slash belongs to OPTIONS (RFC 9110, 9.3.7).
        case .exact(let path): path == [UInt8(ascii: "*")] ? nil : Self.reason(path)
        // After a dot comes more of the name.
        case .prefix(let prefix):
            Self.reason(prefix.last == UInt8(ascii: ".") ? prefix + [UInt8(ascii: "a")] : prefix)
        }
    }

    private static func reason(_ path: [UInt8]) -> RouteProblem.Kind? {
        if path.contains(UInt8(ascii: "?")) { return .pathWithQuery }
        guard case .refused(let refusal) = RequestPath.check(path.span) else { return nil }
        return .impossiblePath(refusal)
    }
}

extension StringPredicate {
    /// True if no value can be as both ask. False says nothing.
    fileprivate func excludes(_ other: StringPredicate) -> Bool {
        switch (self, other) {
        case (.absent, .absent): false
        case (.absent, _), (_, .absent): true
        case (.exact(let text), _): !other.accepts(text.span)
        case (_, .exact(let text)): !accepts(text.span)
        case (.prefix(let a), .prefix(let b)): !a.starts(with: b) && !b.starts(with: a)
        case (.suffix(let a), .suffix(let b)):
            !a.reversed().starts(with: b.reversed()) && !b.reversed().starts(with: a.reversed())
        default: false
        }
    }
}
