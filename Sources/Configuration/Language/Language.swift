// The keys of the language above routes: what each is called, takes, means and defaults to.

enum RootKey: Int, LanguageKey {
    case listeners, upstreams, routes, access
    case identities, trust, tokenIssuers, tokenSigners, rateLimits, accessLog, metrics, admin,
        watch, zone, overload

    static let table = makeTable("configuration")

    var term: Term {
        switch self {
        case .listeners:
            Term(
                "listeners", .list(.object(ListenerKey.table)),
                "Addresses that accept connections; at least one", required: true)
        case .upstreams:
            Term(
                "upstreams", .list(.object(UpstreamKey.table), min: 0),
                "Named services and their addresses", byDefault: "none")
        case .routes:
            Term(
                "routes", .list(.object(RouteKey.table), min: 0),
                "What goes where; the most specific match wins, whatever the order",
                byDefault: "none")
        case .access:
            Term("access", .object(AccessKey.table), "Who may call what", required: true)
        case .identities:
            Term(
                "identities", .list(.object(IdentityKey.table), min: 0), "Who Weir is",
                byDefault: "none")
        case .trust:
            Term(
                "trust", .list(.object(TrustKey.table), min: 0), "Whom it believes",
                byDefault: "none")
        case .tokenIssuers:
            Term(
                "token_issuers", .list(.object(TokenIssuerKey.table), min: 0),
                "Who may sign tokens", byDefault: "none")
        case .tokenSigners:
            Term(
                "token_signers", .list(.object(TokenSignerKey.table), min: 0),
                "Tokens that Weir makes", byDefault: "none")
        case .rateLimits:
            Term(
                "rate_limits", .list(.object(RateLimitKey.table), min: 0),
                "Rates that listeners and routes hold requests to", byDefault: "none")
        case .accessLog:
            Term(
                "access_log", .object(AccessLogKey.table), "A line for each exchange",
                byDefault: "none")
        case .metrics:
            Term(
                "metrics", .object(MetricsKey.table), "Where metrics are served", byDefault: "none")
        case .admin:
            Term(
                "admin", .object(AdminKey.table), "Where the administration interface listens",
                byDefault: "none")
        case .zone:
            Term("zone", .name, "Where this process is", byDefault: "not said")
        case .overload:
            Term(
                "overload", .object(OverloadKey.table),
                "When Weir does less, as there is too much to do",
                byDefault: "as its keys' defaults say")
        case .watch:
            Term(
                "watch", .choice(["on", "off"]),
                "Whether changed files are loaded by themselves; `off` leaves SIGHUP",
                byDefault: "on")
        }
    }
}

enum ListenerKey: Int, LanguageKey {
    case name, address, tls, paths, requestID, loops, limits, timeouts, trustedProxies,
        proxyProtocol, proxyProtocolFrom, rateLimits

    static let table = makeTable("listener")

    var term: Term {
        switch self {
        case .name: Term("name", .name, "What routes and logs call it", required: true)
        case .address:
            Term(
                "address", .address,
                "Where it listens: `127.0.0.1:8080`, `[::1]:8080`, `unix:/run/weir.sock` or "
                    + "`unix:@name`; port 0 lets the system choose",
                required: true)
        case .tls:
            Term(
                "tls", .either([.choice(["off"]), .object(ListenerTLSKey.table)]),
                "`off` must be written where other machines could reach a cleartext listener",
                byDefault: "off on loopback and unix sockets")
        case .paths:
            Term(
                "paths", .choice(["strict", "relaxed"]),
                "`relaxed` lets gRPC requests use paths outside gRPC's own grammar",
                byDefault: "strict")
        case .requestID:
            Term(
                "request_id", .choice(["pass", "make", "replace"]),
                "`x-request-id`: `pass` leaves it as it came, `make` makes one where none came or "
                    + "none that may be believed, `replace` always makes one",
                byDefault: "pass")
        case .loops:
            Term(
                "loops", .choice(["refuse", "allow"]),
                "`refuse` marks requests in `via` and refuses those that come back",
                byDefault: "refuse")
        case .limits:
            Term(
                "limits", .object(OptionObjects.downstreamLimits), "What each client is allowed")
        case .timeouts:
            Term(
                "timeouts", .object(OptionObjects.downstreamTimeouts),
                "How long the listener waits for each thing that a client owes it")
        case .trustedProxies:
            Term(
                "trusted_proxies", .list(.range, min: 0),
                "Proxies in front, whose `x-forwarded-for` is believed; with this key, even empty, "
                    + "servers are told who the client is", byDefault: "nothing is believed or told"
            )
        case .proxyProtocol:
            Term(
                "proxy_protocol", .choice(["off", "v1", "v2"]),
                "Every connection begins with a PROXY header of that version, which says who the "
                    + "client is",
                byDefault: "off")
        case .proxyProtocolFrom:
            Term(
                "proxy_protocol_from", .list(.range),
                "The proxies in front that send it; nobody else may connect. Required with "
                    + "`proxy_protocol`")
        case .rateLimits:
            Term(
                "rate_limits", .list(.name),
                "Rate limits of all its requests, by name; those by `peer` or `claim` hold after "
                    + "the access rules, the others before", byDefault: "none")
        }
    }
}

enum UpstreamKey: Int, LanguageKey {
    case name, endpoints, balance, grpc, limits, timeouts, tls, attachToken, healthCheck, ejection,
        adaptiveConcurrency, retryThrottle

    static let table = makeTable("upstream")

    var term: Term {
        switch self {
        case .name: Term("name", .name, "What routes and logs call it", required: true)
        case .endpoints:
            Term(
                "endpoints",
                .either([
                    .list(.either([.address, .object(EndpointKey.table)])),
                    .object(EndpointSourceKey.table),
                ]),
                "Its addresses, in the forms of a listener's, at least one, or their source",
                required: true)
        case .balance:
            Term(
                "balance", .either([BalanceKey.algorithms, .object(BalanceKey.table)]),
                "How requests are spread over endpoints",
                byDefault: "round_robin")
        case .grpc:
            Term(
                "grpc", .boolean, "Whether anything but gRPC is answered with 415",
                byDefault: "true where every route to it matches methods")
        case .adaptiveConcurrency:
            Term(
                "adaptive_concurrency", .object(AdaptiveConcurrencyKey.table),
                "A limit of requests at once that follows how fast the servers answer",
                byDefault: "none")
        case .limits:
            Term(
                "limits", .object(OptionObjects.upstreamLimits),
                "What Weir allows itself and the servers")
        case .timeouts:
            Term(
                "timeouts", .object(OptionObjects.upstreamTimeouts),
                "How long Weir waits for the servers")
        case .tls:
            Term(
                "tls", .object(UpstreamTLSKey.table), "How servers prove who they are",
                byDefault: "cleartext")
        case .attachToken:
            Term(
                "attach_token", .object(AttachTokenKey.table),
                "A token that its requests carry instead of their own", byDefault: "none")
        case .healthCheck:
            Term(
                "health_check", .object(HealthCheckKey.table),
                "How endpoints are asked whether they are well", byDefault: "they are not asked")
        case .ejection:
            Term(
                "ejection", .object(EjectionKey.table),
                "When endpoints whose calls fail get none for a while", byDefault: "never")
        case .retryThrottle:
            Term(
                "retry_throttle", .object(RetryThrottleKey.table),
                "Tokens that failed calls take; while half are gone nothing is tried again",
                byDefault: "none")
        }
    }
}

/// The tables of options as objects.
enum OptionObjects {
    static let downstreamLimits = ObjectTerms(
        "listener limits", OptionTables.downstreamLimits.map(\.term))
    static let downstreamTimeouts = ObjectTerms(
        "listener timeouts", OptionTables.downstreamTimeouts.map(\.term))
    static let upstreamLimits = ObjectTerms(
        "upstream limits", OptionTables.upstreamLimits.map(\.term))
    static let upstreamTimeouts = ObjectTerms(
        "upstream timeouts", OptionTables.upstreamTimeouts.map(\.term))
}

/// Shapes that several keys share.
extension Shape {
    static let name = Shape.text(
        "a name of letters, digits, `.`, `_` and `-`", pattern: "[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
    static let address = Shape.text(
        "an address", pattern: "(unix:.+|[0-9.]+:[0-9]{1,5}|\\[[0-9A-Fa-f:.]+\\]:[0-9]{1,5})")
    static let anyText = Shape.text("text", pattern: ".*")
    static let path = Shape.text("a path", pattern: "/.*")
    static let hostname = Shape.text("a host name", pattern: "(\\*\\.)?[A-Za-z0-9._-]+")
    static let port = Shape.count(1...65_535)
}
