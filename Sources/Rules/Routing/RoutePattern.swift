/// One set of conditions under which a route is taken: all of them must hold.
public struct RoutePattern: Sendable, Equatable {
    public var host: HostPattern = .any
    public var path: PathPattern = .any
    /// Compared as it is: HTTP methods are case-sensitive. Nil is any.
    public var httpMethod: [UInt8]?
    public var headers: [HeaderCondition] = []
    public var query: [QueryCondition] = []
    /// The route's position in the snapshot's list.
    public var route: Int
    /// Decides between patterns that are equally specific.
    public var routeName: String

    public init(route: Int, routeName: String) {
        self.route = route
        self.routeName = routeName
    }
}

/// Which hosts a pattern covers. In lower case, without port or final dot.
public enum HostPattern: Sendable, Hashable {
    case any
    case exact([UInt8])
    /// `.orders.example` for `*.orders.example`: one or more labels in front of it.
    case wildcard(suffix: [UInt8])
}

/// Which paths a pattern covers; queries are no part of them.
public enum PathPattern: Sendable, Hashable {
    case any
    case exact([UInt8])
    /// By whole segments: `/v1` and `/v1/` are the same and cover `/v1`, `/v1/` and `/v1/x`, not
    /// `/v1beta`; `/` covers all, as `any`. One that ends in a dot goes by bytes, since a dot ends
    /// a package's name: `/pkg.` covers `/pkg.Service/Method`.
    case prefix([UInt8])
}

/// A condition on a header field: on its value where it occurs exactly once. No value of a field
/// that occurs twice is looked at, let alone joined to another, since the server may look at
/// another one than Weir.
public struct HeaderCondition: Sendable, Equatable {
    /// In lower case.
    public var name: [UInt8]
    public var predicate: StringPredicate

    public init(name: [UInt8], predicate: StringPredicate) {
        self.name = name
        self.predicate = predicate
    }
}

/// A condition on a parameter of the query, on its value where it occurs exactly once.
///
/// A query is read as `name=value` joined by `&`, and one without `=` has an empty value. Names and
/// values are compared as they were sent, encoded characters included: Weir decodes nothing, and
/// `+` is a plus.
public struct QueryCondition: Sendable, Equatable {
    public var name: [UInt8]
    public var predicate: StringPredicate

    public init(name: [UInt8], predicate: StringPredicate) {
        self.name = name
        self.predicate = predicate
    }
}

/// What a value must be.
public enum StringPredicate: Sendable, Equatable {
    case exact([UInt8])
    case prefix([UInt8])
    case suffix([UInt8])
    case contains([UInt8])
    /// All of the value.
    case regex(RegularExpression)
    case present
    case absent

    /// Whether one value is as it must be. A regular expression that gives up accepts nothing.
    public func accepts(_ value: Span<UInt8>) -> Bool {
        switch self {
        case .exact(let text): Comparison.exact.holds(text.span, value)
        case .prefix(let text): Comparison.prefix.holds(text.span, value)
        case .suffix(let text): Comparison.suffix.holds(text.span, value)
        case .contains(let text): Comparison.contains.holds(text.span, value)
        case .regex(let expression): expression.verdict(on: value) == .matches
        case .present: true
        case .absent: false
        }
    }
}
