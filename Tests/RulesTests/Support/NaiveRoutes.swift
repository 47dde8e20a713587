import Rules

/// The routes' rules as they are told, without regard to cost: every pattern is tried, and the most
/// specific of those that match is taken.
struct NaiveRoutes {
    let patterns: [RoutePattern]

    func route(_ request: Request) -> Int? {
        let (path, query) = Self.split(request.path)
        let host = Self.host(request.authority)
        let matching = patterns.filter { pattern in
            Self.covers(pattern.host, host) && Self.covers(pattern.path, path)
                && (pattern.httpMethod.map { $0 == Array(request.method.utf8) } ?? true)
                && pattern.headers.allSatisfy { Self.holds($0.predicate, request.values($0.name)) }
                && pattern.query.allSatisfy {
                    Self.holds($0.predicate, Self.values($0.name, query))
                }
        }
        return matching.min { Self.rank($0).lexicographicallyPrecedes(Self.rank($1)) }?.route
    }

    /// Smaller is more specific, element by element; names of routes are one letter here.
    private static func rank(_ pattern: RoutePattern) -> [Int] {
        let host =
            switch pattern.host {
            case .exact: [0, 0]
            case .wildcard(let suffix): [1, -suffix.count]
            case .any: [2, 0]
            }
        let path =
            switch pattern.path {
            case .exact: [0, 0]
            case .prefix(let prefix): prefix == [0x2f] ? [2, 0] : [1, -written(prefix).count]
            case .any: [2, 0]
            }
        return host + path + [
            pattern.httpMethod == nil ? 1 : 0, -pattern.headers.count, -pattern.query.count,
            Int(pattern.routeName.utf8.first ?? 0),
        ]
    }

    /// With its final slash, unless it ends a package.
    private static func written(_ prefix: [UInt8]) -> [UInt8] {
        prefix.last == 0x2e || prefix.last == 0x2f ? prefix : prefix + [0x2f]
    }

    private static func covers(_ pattern: HostPattern, _ host: [UInt8]) -> Bool {
        switch pattern {
        case .any: true
        case .exact(let text): text == host
        case .wildcard(let suffix):
            host.count > suffix.count && host.reversed().starts(with: suffix.reversed())
        }
    }

    private static func covers(_ pattern: PathPattern, _ path: [UInt8]) -> Bool {
        switch pattern {
        case .any: true
        case .exact(let text): text == path
        case .prefix(let prefix):
            prefix.last == 0x2e
                ? path.starts(with: prefix) : (path + [0x2f]).starts(with: written(prefix))
        }
    }

    private static func holds(_ predicate: StringPredicate, _ values: [[UInt8]]) -> Bool {
        if predicate == .absent { return values.isEmpty }
        guard values.count == 1 else { return false }
        let value = values[0]
        switch predicate {
        case .exact(let text): return value == text
        case .prefix(let text): return value.starts(with: text)
        case .suffix(let text): return value.reversed().starts(with: text.reversed())
        case .contains(let text):
            return value.indices.contains { value[$0...].starts(with: text) }
        case .present: return true
        case .regex(let expression): return expression.verdict(on: value.span) == .matches
        case .absent: return false
        }
    }

    private static func split(_ path: String) -> ([UInt8], [UInt8]) {
        let parts = path.utf8.split(separator: 0x3f, maxSplits: 1, omittingEmptySubsequences: false)
        return (Array(parts[0]), parts.count > 1 ? Array(parts[1]) : [])
    }

    private static func host(_ authority: String) -> [UInt8] {
        var host = authority.lowercased()
        if let colon = host.lastIndex(of: ":"), !host.hasSuffix("]") {
            host = String(host[..<colon])
        }
        if host.hasSuffix(".") { host.removeLast() }
        return Array(host.utf8)
    }

    private static func values(_ name: [UInt8], _ query: [UInt8]) -> [[UInt8]] {
        query.split(separator: 0x26).compactMap { pair in
            let sides = pair.split(separator: 0x3d, maxSplits: 1, omittingEmptySubsequences: false)
            guard Array(sides[0]) == name else { return nil }
            return sides.count > 1 ? Array(sides[1]) : []
        }
    }
}

extension Request {
    fileprivate func values(_ name: [UInt8]) -> [[UInt8]] {
        headers.filter { Array($0.name.utf8) == name }.map { Array($0.value.utf8) }
    }
}
