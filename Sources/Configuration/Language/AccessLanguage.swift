// The keys of access rules.

enum AccessKey: Int, LanguageKey {
    case byDefault, rules

    static let table = makeTable("access")

    var term: Term {
        switch self {
        case .byDefault:
            Term(
                "default", .choice(["allow", "deny"]),
                "What happens to a call for which no rule says who may make it", required: true)
        case .rules:
            Term(
                "rules", .list(.object(AccessRuleKey.table), min: 0),
                "Who may call which methods; every rule that names a method counts",
                byDefault: "none")
        }
    }
}

enum AccessRuleKey: Int, LanguageKey {
    case name, methods, http, listeners, deny, allow, mode

    static let table = makeTable("access rule")

    var term: Term {
        switch self {
        case .name: Term("name", .name, "What the log and metrics call it", required: true)
        case .methods:
            Term(
                "methods", .list(.method),
                "gRPC methods that it names, whatever the content-type of a request says")
        case .http:
            Term(
                "http",
                .list(
                    .text(
                        "an HTTP method or `*`, and a path",
                        pattern: "(\\*|[A-Z][A-Z-]*) (/.*|\\*)")),
                "Paths that it names, such as `GET /v1/orders`; `/v1/*` is `/v1` and all below it")
        case .listeners:
            Term(
                "listeners", .list(.name), "The listeners where it counts, by name",
                byDefault: "all")
        case .deny:
            Term(
                "deny", .list(.accessItem), "Who is kept out, whatever else lets them in",
                byDefault: "nobody")
        case .allow:
            Term(
                "allow", .list(.accessItem),
                "Who is let in; with it, everybody else is kept out unless another rule lets them "
                    + "in", byDefault: "left to other rules and the default")
        case .mode:
            Term(
                "mode", .choice(["enforce", "dry_run"]),
                "`dry_run`: it neither allows nor denies; what it would do is logged and counted",
                byDefault: "enforce")
        }
    }
}

extension Shape {
    static let accessItem = Shape.either([.choice(["anyone"]), .object(AccessItemKey.table)])
    static let range = Shape.text(
        "a range of addresses such as `10.0.0.0/8`, an address, or `unix`",
        pattern: "unix|[0-9A-Fa-f:.]+(/[0-9]{1,3})?")
}

enum AccessItemKey: Int, LanguageKey {
    case peers, token, source, client, headers

    static let table = makeTable("access item")

    var term: Term {
        switch self {
        case .peers:
            Term(
                "peers",
                .list(
                    .text(
                        "`spiffe://domain/path`, `spiffe://domain/path/*`, `dns:name` or "
                            + "`verified`",
                        pattern: "verified|dns:.+|spiffe://.+")),
                "Who the connection's peer has proven to be; `/*` is one or more segments below")
        case .token:
            Term("token", .object(TokenConditionKey.table), "A valid token that the call carries")
        case .source:
            Term(
                "source", .list(.range),
                "Where the connection comes from, whoever it is forwarded for")
        case .client:
            Term(
                "client", .list(.range),
                "Where the client is: what `trusted_proxies` say, without them the source")
        case .headers:
            Term(
                "headers", .map("a header's name", .condition),
                "To allow, the field must be there once and meet it; to deny, any of its values")
        }
    }
}

enum TokenConditionKey: Int, LanguageKey {
    case issuer, claims

    static let table = makeTable("token condition")

    var term: Term {
        switch self {
        case .issuer: Term("issuer", .name, "The name of a token issuer", required: true)
        case .claims:
            Term(
                "claims",
                .map("a claim's name", .either([.anyText, .object(ClaimConditionKey.table)])),
                "What its claims must be; a name that begins with `/` is a JSON Pointer into "
                    + "objects", byDefault: "any")
        }
    }
}

enum ClaimConditionKey: Int, LanguageKey {
    case equals, oneOf, has, prefix, present, header

    static let table = makeTable(
        "claim condition", oneOf: ["equals", "one_of", "has", "prefix", "present", "header"])

    var term: Term {
        switch self {
        case .equals: Term("equals", .anyText, "The whole value; the same as text alone")
        case .oneOf: Term("one_of", .list(.anyText), "The whole value is one of these")
        case .has:
            Term(
                "has", .anyText, "A member of an array, or of a list in text with spaces between")
        case .prefix: Term("prefix", .anyText, "What a text begins with")
        case .present: Term("present", .boolean, "`true`: it is there and not null")
        case .header: Term("header", .anyText, "The header whose value is the same")
        }
    }
}
