import Rules

/// A request, as far as routing sees it.
struct Request: RequestFields, CustomStringConvertible {
    var authority = "a.example"
    var method = "POST"
    var path = "/"
    var headers: [(name: String, value: String)] = []

    func with(_ name: String, _ value: String) -> Request {
        var copy = self
        copy.headers.append((name, value))
        return copy
    }

    func forEachValue(of name: Span<UInt8>, _ body: (Span<UInt8>) -> Void) {
        for header in headers where header.name.utf8.elementsEqual(Array(copying: name)) {
            body(header.value.utf8.span)
        }
    }

    var description: String { "\(method) \(authority) \(path) \(headers)" }
}

/// A table whose answers are the routes' names.
struct NamedTable {
    let table: RouteTable
    let names: [String]

    /// Gives each pattern a route of its own.
    init(_ patterns: [RoutePattern]) throws {
        var patterns = patterns
        for index in patterns.indices { patterns[index].route = index }
        table = try RouteTable(patterns: patterns)
        names = patterns.map(\.routeName)
    }

    func route(_ request: Request) -> String? {
        let route = table.match(
            authority: request.authority.utf8.span, httpMethod: request.method.utf8.span,
            path: request.path.utf8.span, fields: request)
        return route.map { names[$0.route] }
    }

    func explain(_ request: Request) -> [String] {
        let considerations = table.explain(
            authority: request.authority.utf8.span, httpMethod: request.method.utf8.span,
            path: request.path.utf8.span, fields: request)
        return considerations.map { "\(names[$0.route]): \($0.outcome)" }
    }
}

extension RoutePattern {
    /// `host` may be a wildcard such as `*.example`.
    static func make(
        _ name: String, host: String? = nil, path: String? = nil, prefix: String? = nil
    ) -> RoutePattern {
        var pattern = RoutePattern(route: 0, routeName: name)
        if let host {
            pattern.host =
                host.hasPrefix("*")
                ? .wildcard(suffix: Array(host.utf8.dropFirst())) : .exact(Array(host.utf8))
        }
        if let path { pattern.path = .exact(Array(path.utf8)) }
        if let prefix { pattern.path = .prefix(Array(prefix.utf8)) }
        return pattern
    }
}

extension HeaderCondition {
    static func make(_ name: String, _ predicate: StringPredicate) -> HeaderCondition {
        HeaderCondition(name: Array(name.utf8), predicate: predicate)
    }
}

extension QueryCondition {
    static func make(_ name: String, _ predicate: StringPredicate) -> QueryCondition {
        QueryCondition(name: Array(name.utf8), predicate: predicate)
    }
}

extension Array<UInt8> {
    init(copying span: Span<UInt8>) { self = span.indices.map { span[$0] } }
}
