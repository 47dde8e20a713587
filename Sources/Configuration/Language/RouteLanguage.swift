// The keys of routes.

enum RouteKey: Int, LanguageKey {
    case name, listeners, hostnames, matches, backends, respond, redirect, health
    case timeout, idleTimeout, messageLimits, rewrite, requestHeaders, responseHeaders, retry,
        accessLog, failures, rateLimits, fault, mirror

    static let table = makeTable("route", oneOf: ["backends", "respond", "redirect", "health"])

    var term: Term {
        switch self {
        case .name: Term("name", .name, "What logs and metrics call it", required: true)
        case .listeners:
            Term(
                "listeners", .list(.name), "The listeners it belongs to, by name",
                byDefault: "the only listener; required where there are several")
        case .hostnames:
            Term(
                "hostnames", .list(.hostname),
                "Hosts, or `*.` and a host for all below it; a request's port does not count",
                byDefault: "any")
        case .matches:
            Term(
                "matches", .list(.object(MatchKey.table)),
                "One of these must hold, and of it every part", byDefault: "any request")
        case .backends:
            Term(
                "backends", .list(.object(BackendKey.table)),
                "Upstreams to forward to, drawn by weight")
        case .respond: Term("respond", .object(RespondKey.table), "An answer of Weir's own")
        case .redirect: Term("redirect", .object(RedirectKey.table), "A redirect of plain HTTP")
        case .health:
            Term(
                "health", .object(HealthKey.table),
                "Health checks (`grpc.health.v1.Health`), answered by Weir itself")
        case .timeout, .idleTimeout: timeTerm
        case .messageLimits:
            Term(
                "message_limits", .object(MessageLimitsKey.table),
                "How large one gRPC message may be; larger ones are RESOURCE_EXHAUSTED",
                byDefault: "none")
        case .rewrite:
            Term(
                "rewrite", .object(RewriteKey.table),
                "What is changed in the request's target before it is forwarded",
                byDefault: "nothing")
        case .requestHeaders, .responseHeaders: editTerm
        case .retry:
            Term(
                "retry", .object(RetryKey.table), "What is tried again, and how often",
                byDefault: "only what no server has processed")
        case .accessLog:
            Term(
                "access_log", .choice(["on", "off"]),
                "`off` leaves its exchanges out of the access log", byDefault: "on")
        case .failures:
            Term(
                "failures", .object(FailuresKey.table),
                "What counts against an endpoint where its upstream has `ejection`",
                byDefault: "what says that the server is in trouble")
        case .rateLimits:
            Term(
                "rate_limits", .list(.name), "Rate limits of its requests, by name",
                byDefault: "none")
        case .fault:
            Term(
                "fault", .object(FaultKey.table),
                "Faults that are put into its traffic, to see what callers make of them",
                byDefault: "none")
        case .mirror:
            Term(
                "mirror", .object(MirrorKey.table),
                "An upstream that gets copies of its requests, and whose answers nobody sees",
                byDefault: "none")
        }
    }

    private var timeTerm: Term {
        self == .timeout
            ? Term(
                "timeout", .duration(offAllowed: true),
                "For the whole exchange; the shorter of this and grpc-timeout holds",
                byDefault: "off")
            : Term(
                "idle_timeout", .duration(offAllowed: true),
                "Ends an exchange on which nothing passed either way for so long",
                byDefault: "off")
    }

    private var editTerm: Term {
        self == .requestHeaders
            ? Term(
                "request_headers", .object(EditsKey.table),
                "Changes to the request's header fields", byDefault: "none")
            : Term(
                "response_headers", .object(EditsKey.table),
                "Changes to the response's header fields", byDefault: "none")
    }
}

enum MatchKey: Int, LanguageKey {
    case method, path, httpMethod, headers, query

    static let table = makeTable("match")

    var term: Term {
        switch self {
        case .method:
            Term(
                "method", .method, "A gRPC method, those of a service, or all below a package")
        case .path:
            Term(
                "path", .either([.path, .object(PathKey.table)]),
                "A plain HTTP path; text alone is exact. Not together with `method`")
        case .httpMethod:
            Term(
                "http_method", .text("an HTTP method", pattern: "[A-Z][A-Z-]*"), "Such as GET")
        case .headers:
            Term(
                "headers", .map("a header's name", .condition),
                "Conditions on header fields; a field that comes twice meets none")
        case .query:
            Term(
                "query", .map("a parameter's name", .condition),
                "Conditions on the query's parameters, compared as they were sent")
        }
    }
}

extension Shape {
    static let grpcStatus = Shape.either([
        .count(0...16), .text("a status's name", pattern: "[A-Z][A-Z_]*"),
    ])
    static let condition = Shape.either([.anyText, .object(ConditionKey.table)])
    static let method = Shape.either([
        .text(
            "`pkg.Svc/M`, `pkg.Svc/*` or `pkg.*`",
            pattern: "[A-Za-z_][A-Za-z0-9_.]*(/([A-Za-z_][A-Za-z0-9_]*|\\*)|\\.\\*)"),
        .object(MethodKey.table),
    ])
}

enum MethodKey: Int, LanguageKey {
    case service, method

    static let table = makeTable("method")

    var term: Term {
        switch self {
        case .service:
            Term(
                "service", .text("a service", pattern: "[A-Za-z_][A-Za-z0-9_.]*"),
                "With its package", required: true)
        case .method:
            Term(
                "method", .text("a method", pattern: "([A-Za-z_][A-Za-z0-9_]*|\\*)"),
                "Without it, all of the service", byDefault: "`*`")
        }
    }
}

enum PathKey: Int, LanguageKey {
    case exact, prefix

    static let table = makeTable("path", oneOf: ["exact", "prefix"])

    var term: Term {
        switch self {
        case .exact: Term("exact", .path, "The whole path, without the query")
        case .prefix: Term("prefix", .path, "What the path begins with")
        }
    }
}

enum ConditionKey: Int, LanguageKey {
    case exact, prefix, suffix, contains, regex, present, absent

    static let table = makeTable(
        "condition",
        oneOf: ["exact", "prefix", "suffix", "contains", "regex", "present", "absent"])

    var term: Term {
        switch self {
        case .exact: Term("exact", .anyText, "The whole value; the same as text alone")
        case .prefix: Term("prefix", .anyText, "What the value begins with")
        case .suffix: Term("suffix", .anyText, "What it ends with")
        case .contains: Term("contains", .anyText, "What stands somewhere in it")
        case .regex:
            Term("regex", .anyText, "A regular expression (PCRE2) that the whole value matches")
        case .present: Term("present", .boolean, "`true`: it is there, with any value")
        case .absent: Term("absent", .boolean, "`true`: it is not there")
        }
    }
}

enum BackendKey: Int, LanguageKey {
    case upstream, weight

    static let table = makeTable("backend")

    var term: Term {
        switch self {
        case .upstream: Term("upstream", .name, "An upstream's name", required: true)
        case .weight:
            Term(
                "weight", .count(0...1_000_000), "Its share among the weights of all",
                byDefault: "1")
        }
    }
}

enum RespondKey: Int, LanguageKey {
    case status, body, keysOf, contentType, grpcStatus, message

    static let table = makeTable("direct response")

    var term: Term {
        switch self {
        case .status:
            Term("status", .count(200...599), "HTTP status for plain callers", required: true)
        case .body: Term("body", .anyText, "Body for plain callers", byDefault: "none")
        case .keysOf:
            Term("keys_of", .name, "A token signer whose published key set is the body")
        case .contentType:
            Term(
                "content_type", .anyText, "The body's type",
                byDefault: "`text/plain; charset=utf-8`, of keys `application/jwk-set+json`")
        case .grpcStatus:
            Term(
                "grpc_status", .grpcStatus, "gRPC status for gRPC callers",
                byDefault: "what gRPC takes the HTTP status for")
        case .message:
            Term("message", .anyText, "Message for gRPC callers", byDefault: "none")
        }
    }
}

enum RedirectKey: Int, LanguageKey {
    case status, scheme, hostname, port, path

    static let table = makeTable("redirect")

    var term: Term {
        switch self {
        case .status:
            Term("status", .count(301...308), "301, 302, 303, 307 or 308", byDefault: "302")
        case .scheme: Term("scheme", .choice(["http", "https"]), "Another scheme")
        case .hostname: Term("hostname", .hostname, "Another host")
        case .port: Term("port", .port, "Another port")
        case .path: Term("path", .object(RedirectPathKey.table), "Another path")
        }
    }
}

enum RedirectPathKey: Int, LanguageKey {
    case prefix, full

    static let table = makeTable("redirect path", oneOf: ["prefix", "full"])

    var term: Term {
        switch self {
        case .prefix: Term("prefix", .path, "Replaces the prefix that the route matches")
        case .full: Term("full", .path, "Replaces the whole path")
        }
    }
}

enum RewriteKey: Int, LanguageKey {
    case pathPrefix, path, hostname

    static let table = makeTable("rewrite")

    var term: Term {
        switch self {
        case .pathPrefix:
            Term("path_prefix", .path, "Replaces the prefix that the route matches")
        case .path: Term("path", .path, "Replaces the whole path; the query stays")
        case .hostname:
            Term(
                "hostname", .text("a host, with or without a port", pattern: "[^ ]+"),
                "Replaces `:authority`")
        }
    }
}

enum HealthKey: Int, LanguageKey {
    case services

    static let table = makeTable("health")

    var term: Term {
        Term(
            "services", .map("a service's name", .name),
            "The upstream that each service stands for; the empty name, which is always there, is "
                + "Weir itself",
            byDefault: "none")
    }
}

enum MessageLimitsKey: Int, LanguageKey {
    case request, response

    static let table = makeTable("message limits")
    static let range: ClosedRange<Int64> = 1...1 << 31

    var term: Term {
        switch self {
        case .request:
            Term(
                "request", .size(Self.range), "A message from the client, as it is sent",
                byDefault: "none")
        case .response:
            Term(
                "response", .size(Self.range), "A message from the server, as it is sent",
                byDefault: "none")
        }
    }
}

enum EditsKey: Int, LanguageKey {
    case add, set, remove

    static let table = makeTable("header edits")

    var term: Term {
        switch self {
        case .add:
            Term("add", .map("a header's name", .anyText), "Fields added to those there are")
        case .set:
            Term(
                "set", .map("a header's name", .anyText), "Fields that replace all of their name")
        case .remove: Term("remove", .list(.anyText), "Names of fields taken away, first of all")
        }
    }
}
