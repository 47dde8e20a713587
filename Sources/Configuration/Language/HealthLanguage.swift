// The keys of `health_check`, `ejection` and a route's `failures`.

enum HealthCheckKey: Int, LanguageKey {
    case grpc, http, tcp, interval, unhealthyInterval, timeout, jitter, healthy, unhealthy
    case beforeFirst

    static let table = makeTable("health check", oneOf: ["grpc", "http", "tcp"])
    static let thresholds = 1...1_000

    var term: Term {
        switch self {
        case .grpc:
            Term("grpc", .object(GRPCCheckKey.table), "Asked with grpc.health.v1")
        case .http: Term("http", .object(HTTPCheckKey.table), "Asked with a GET over HTTP/2")
        case .tcp:
            Term("tcp", .object(TCPCheck.table), "Only connected to; with `tls`, secured as well")
        case .interval:
            Term(
                "interval", .duration(offAllowed: false), "Between checks where all is well",
                byDefault: "5s")
        case .unhealthyInterval:
            Term(
                "unhealthy_interval", .duration(offAllowed: false),
                "Between checks once one has failed, and before the first has succeeded",
                byDefault: "1s")
        case .timeout:
            Term(
                "timeout", .duration(offAllowed: false), "For one check, connecting included",
                byDefault: "1s")
        case .jitter:
            Term(
                "jitter", .shareOrOff, "How far intervals vary either way, by chance",
                byDefault: "10%")
        case .healthy:
            Term(
                "healthy", .count(Self.thresholds),
                "Successes in a row that make an endpoint healthy again", byDefault: "2")
        case .unhealthy:
            Term(
                "unhealthy", .count(Self.thresholds),
                "Failures in a row that make it unhealthy; a server that says that it does not "
                    + "serve is so at once",
                byDefault: "3")
        case .beforeFirst:
            Term(
                "before_first", .choice(["use", "wait"]),
                "Whether endpoints get requests before their first check has told anything",
                byDefault: "use")
        }
    }
}

enum GRPCCheckKey: Int, LanguageKey {
    case service, watch

    static let table = makeTable("gRPC check")

    var term: Term {
        switch self {
        case .service:
            Term(
                "service", .anyText, "The service that is asked about",
                byDefault: "the empty name: the server as a whole")
        case .watch:
            Term(
                "watch", .boolean, "Also lets the server tell changes by itself (Watch)",
                byDefault: "false")
        }
    }
}

enum HTTPCheckKey: Int, LanguageKey {
    case path, host, statuses

    static let table = makeTable("HTTP check")

    var term: Term {
        switch self {
        case .path: Term("path", .path, "What is asked for, a query included", required: true)
        case .host:
            Term(
                "host", .text("a host, with or without a port", pattern: "[^ ]+"), "`:authority`",
                byDefault: "the upstream's name")
        case .statuses:
            Term("statuses", .list(.status), "What is taken for healthy", byDefault: "[2xx]")
        }
    }
}

enum TCPCheck {
    static let table = ObjectTerms("TCP check", [])
}

enum EjectionKey: Int, LanguageKey {
    case consecutiveFailures, interval, baseTime, maxTime, jitter, maxEjected, returnOnCheck
    case successRate, failureShare

    static let table = makeTable("ejection")
    static let failures = 1...1_000_000

    var term: Term {
        switch self {
        case .consecutiveFailures:
            Term(
                "consecutive_failures", .either([.count(Self.failures), .choice(["off"])]),
                "Calls in a row that fail before an endpoint is ejected", byDefault: "5")
        case .interval:
            Term(
                "interval", .duration(offAllowed: false),
                "How often shares are looked at; after so long an endpoint is forgiven one earlier "
                    + "ejection",
                byDefault: "10s")
        case .baseTime:
            Term(
                "base_time", .duration(offAllowed: false),
                "How long the first ejection lasts, the second twice that, and so on",
                byDefault: "30s")
        case .maxTime:
            Term(
                "max_time", .duration(offAllowed: false),
                "The longest ejection; `base_time` where that is longer", byDefault: "5m")
        case .jitter:
            Term(
                "jitter", .shareOrOff, "What is added to that at most, by chance", byDefault: "10%")
        case .maxEjected:
            Term(
                "max_ejected", .percent,
                "How many of the endpoints may be ejected at once; one always, where there are "
                    + "several",
                byDefault: "10%")
        case .returnOnCheck:
            Term(
                "return_on_check", .boolean,
                "Whether a health check that succeeds ends an ejection at once", byDefault: "true")
        case .successRate:
            Term(
                "success_rate", .object(SuccessRateKey.table),
                "Ejects what succeeds far less often than the others", byDefault: "off")
        case .failureShare:
            Term(
                "failure_share", .object(FailureShareKey.table), "Ejects what fails too often",
                byDefault: "off")
        }
    }
}

enum SuccessRateKey: Int, LanguageKey {
    case deviations, minEndpoints, minCalls

    static let table = makeTable("success rate")

    var term: Term {
        switch self {
        case .deviations:
            Term(
                "deviations", .text("a number such as 1.9", pattern: "[0-9]+([.][0-9]{1,3})?"),
                "How many standard deviations below the mean", byDefault: "1.9")
        case .minEndpoints: Shape.judgedTerm
        case .minCalls: Shape.callsTerm(100)
        }
    }
}

enum FailureShareKey: Int, LanguageKey {
    case threshold, minEndpoints, minCalls

    static let table = makeTable("failure share")

    var term: Term {
        switch self {
        case .threshold:
            Term(
                "threshold", .percent, "The share of failures at which an endpoint is ejected",
                byDefault: "85%")
        case .minEndpoints: Shape.judgedTerm
        case .minCalls: Shape.callsTerm(50)
        }
    }
}

enum FailuresKey: Int, LanguageKey {
    case codes, statuses

    static let table = makeTable("failures")

    var term: Term {
        switch self {
        case .codes:
            Term(
                "codes", .list(.text("a status's name", pattern: "[A-Z][A-Z_]*"), min: 0),
                "gRPC's codes, in trailers too",
                byDefault: "[UNAVAILABLE, INTERNAL, DATA_LOSS, DEADLINE_EXCEEDED]")
        case .statuses:
            Term(
                "statuses", .list(.status, min: 0), "Statuses of plain HTTP", byDefault: "[5xx]")
        }
    }
}

extension Shape {
    static let shareOrOff = Shape.either([.percent, .choice(["off"])])
    static let status = Shape.text("a status or a class such as 5xx", pattern: "[1-5](xx|[0-9]{2})")
    static let judged = 1...10_000
    static let calls = 1...1_000_000_000

    fileprivate static let judgedTerm = Term(
        "min_endpoints", .count(judged),
        "Endpoints with enough calls; with fewer nobody is judged", byDefault: "5")

    fileprivate static func callsTerm(_ usual: Int) -> Term {
        Term(
            "min_calls", .count(calls), "Calls within an interval for an endpoint to be judged",
            byDefault: "\(usual)")
    }
}
