/// Why a table of rules cannot be made.
public struct AccessProblem: Error, Equatable, Sendable, CustomStringConvertible {
    /// The rule's position.
    public let rule: Int
    public let kind: Kind

    public enum Kind: Equatable, Sendable {
        case tooManyOnPattern, prefixTooDeep, tooManyMethods, tooMuch
    }

    public init(rule: Int, kind: Kind) {
        self.rule = rule
        self.kind = kind
    }

    public var description: String {
        switch kind {
        case .tooManyOnPattern:
            "is one of more than \(AccessTable.rulesPerPatternMax) that name the same methods on "
                + "the same listener"
        case .prefixTooDeep:
            "names a package or path with more than \(RouteTable.prefixDepthMax) slashes and dots"
        case .tooManyMethods:
            "uses an HTTP method beyond the \(RouteTable.methodsMax) that all together may use"
        case .tooMuch: "is beyond 4 GiB of text in all rules"
        }
    }
}
