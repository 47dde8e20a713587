/// The language as a JSON Schema (draft 2020-12), for editors. It says what single values and keys
/// may be; what they say together (names, addresses, rewrites) only loading can check.
public enum LanguageSchema {
    public static var text: String {
        var definitions: [(String, JSON)] = []
        for table in tables where table !== RootKey.table {
            definitions.append((identifier(table), object(table)))
        }
        guard case .object(let root) = object(RootKey.table) else { return "" }
        let head: [(String, JSON)] = [
            ("$schema", .string("https://json-schema.org/draft/2020-12/schema")),
            ("title", .string("Weir's configuration")),
        ]
        return JSON.object(head + root + [("$defs", .object(definitions))]).text() + "\n"
    }

    /// Every table of the language, outer ones first.
    static let tables: [ObjectTerms] = [
        RootKey.table, ListenerKey.table, OptionObjects.downstreamLimits,
        OptionObjects.downstreamTimeouts, UpstreamKey.table, EndpointKey.table,
        BalanceKey.table, HashSourceKey.table, AffinityCookieKey.table,
        SlowStartKey.table, ZonesKey.table,
        EndpointSourceKey.table, DNSKey.table,
        OptionObjects.upstreamLimits, OptionObjects.upstreamTimeouts,
        RetryThrottleKey.table,
        RouteKey.table, MatchKey.table, MethodKey.table,
        PathKey.table, ConditionKey.table, BackendKey.table,
        RetryKey.table, BackoffKey.table, PeekKey.table, BudgetKey.table,
        RespondKey.table, RedirectKey.table,
        RedirectPathKey.table, HealthKey.table, MessageLimitsKey.table, RewriteKey.table,
        EditsKey.table, AccessKey.table,
        AccessRuleKey.table, AccessItemKey.table, TokenConditionKey.table, ClaimConditionKey.table,
        AccessLogKey.table, MetricsKey.table, OverloadKey.table, AdminKey.table, IdentityKey.table,
        TrustKey.table,
        ListenerTLSKey.table, UpstreamTLSKey.table, TokenIssuerKey.table, TokenKeysKey.table,
        TokenSignerKey.table, AttachTokenKey.table, HealthCheckKey.table, GRPCCheckKey.table,
        HTTPCheckKey.table, TCPCheck.table, EjectionKey.table, SuccessRateKey.table,
        FailureShareKey.table, FailuresKey.table, RateLimitKey.table, RateLimitPartKey.table,
        LimitServiceKey.table,
        FaultKey.table, FaultDelayKey.table, FaultAbortKey.table, MirrorKey.table,
        AdaptiveConcurrencyKey.table,
    ]

    private static func identifier(_ table: ObjectTerms) -> String {
        String(table.name.map { $0 == " " ? "_" : $0 })
    }

    private static func object(_ table: ObjectTerms) -> JSON {
        let properties = table.terms.map { term -> (String, JSON) in
            guard case .object(let members) = schema(of: term.shape) else {
                return (term.key, .bool(true))
            }
            var words = term.doc
            if !term.isSupported { words += ". Not yet supported" }
            if let value = term.byDefault { words += ". Default: \(value)" }
            return (term.key, .object([("description", .string(words))] + members))
        }
        var members: [(String, JSON)] = [
            ("type", .string("object")), ("additionalProperties", .bool(false)),
            ("properties", .object(properties)),
        ]
        let required = table.terms.filter(\.isRequired).map { JSON.string($0.key) }
        if !required.isEmpty { members.append(("required", .array(required))) }
        if !table.oneOf.isEmpty {
            let choices = table.oneOf.map { JSON.object([("required", .array([.string($0)]))]) }
            members.append(("oneOf", .array(choices)))
        }
        return .object(members)
    }

    private static func schema(of shape: Shape) -> JSON {
        switch shape {
        case .text(_, let pattern):
            // Plain scalars are text where text is expected, whatever YAML takes them for.
            let types = ["string", "number", "boolean"].map(JSON.string)
            var members: [(String, JSON)] = [("type", .array(types))]
            if pattern != ".*" { members.append(("pattern", .string(orVariable(pattern)))) }
            return .object(members)
        case .choice(let choices):
            return anyOf([.object([("enum", .array(choices.map(JSON.string)))]), variable])
        case .boolean:
            return anyOf([.object([("type", .string("boolean"))]), variable])
        case .count(let range):
            let number = JSON.object([
                ("type", .string("integer")), ("minimum", .number(range.lowerBound)),
                ("maximum", .number(range.upperBound)),
            ])
            return anyOf([number, variable])
        case .duration(let offAllowed):
            return pattern(offAllowed ? Duration.pattern + "|off" : Duration.pattern)
        case .size:
            return pattern(Size.pattern)
        case .percent:
            return pattern(Percent.pattern)
        case .list(let item, let least):
            var members: [(String, JSON)] = [
                ("type", .string("array")), ("items", schema(of: item)),
            ]
            if least > 0 { members.append(("minItems", .number(least))) }
            return .object(members)
        case .object(let table):
            return .object([("$ref", .string("#/$defs/" + identifier(table)))])
        case .map(_, let value):
            return .object([
                ("type", .string("object")), ("additionalProperties", schema(of: value)),
            ])
        case .either(let shapes):
            return anyOf(shapes.map(schema))
        case .unsupported:
            return .object([("not", .object([]))])
        }
    }

    private static func anyOf(_ schemas: [JSON]) -> JSON { .object([("anyOf", .array(schemas))]) }

    private static func pattern(_ pattern: String) -> JSON {
        .object([("type", .string("string")), ("pattern", .string(orVariable(pattern)))])
    }

    /// A variable can stand for any part of a scalar.
    private static func orVariable(_ pattern: String) -> String { "^(\(pattern))$|\\$\\{" }

    private static let variable = JSON.object([
        ("type", .string("string")), ("pattern", .string("\\$\\{")),
    ])
}
