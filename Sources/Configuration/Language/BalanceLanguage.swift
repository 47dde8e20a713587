internal import Rules

// The keys of endpoints and of how requests are spread over them.

enum EndpointKey: Int, LanguageKey {
    case address, weight, zone

    static let table = makeTable("endpoint")

    var term: Term {
        switch self {
        case .address:
            Term("address", .address, "In the forms of a listener's", required: true)
        case .weight:
            Term(
                "weight", .count(1...Int(EndpointTerms.weightMax)),
                "Its share of the requests, among the weights of all", byDefault: "1")
        case .zone:
            Term("zone", .name, "Where it is", byDefault: "not said")
        }
    }
}

enum BalanceKey: Int, LanguageKey {
    case algorithm, hash, loadLimit, decay, initialLatency, failurePenalty
    case slowStart, zones, panic, subset

    static let table = makeTable("balance")
    static let algorithms = Shape.choice(names)
    static let names = BalanceTerms.Algorithm.allCases.map(\.rawValue)

    var term: Term {
        switch self {
        case .algorithm:
            Term("algorithm", Self.algorithms, "Which endpoint is next", byDefault: "round_robin")
        case .hash:
            Term(
                "hash", .list(.object(HashSourceKey.table)),
                "`ring_hash` and `maglev`, required there: what decides where a request goes; "
                    + "all that is there counts, and where nothing is, chance decides")
        case .loadLimit:
            Term(
                "load_limit", .text("a share of the average load", pattern: "[1-9][0-9]*%"),
                "`ring_hash` and `maglev`: what an endpoint has under way beyond this goes to the "
                    + "next; 100% to 1000%", byDefault: "none")
        case .decay:
            Term(
                "decay", .duration(offAllowed: false),
                "`peak_ewma`: how long what an endpoint took counts", byDefault: "10s")
        case .initialLatency:
            Term(
                "initial_latency", .duration(offAllowed: false),
                "`peak_ewma`: what is assumed of endpoints that have not answered yet",
                byDefault: "30ms")
        case .failurePenalty:
            Term(
                "failure_penalty", .duration(offAllowed: false),
                "`peak_ewma`: how long a failure counts as having taken, however fast it was",
                byDefault: "5s")
        case .slowStart:
            Term(
                "slow_start", .object(SlowStartKey.table),
                "Endpoints that are new or come back get less at first; not with a hash",
                byDefault: "none")
        case .zones:
            Term(
                "zones", .object(ZonesKey.table),
                "Endpoints of the process's own `zone` come first; not with a hash",
                byDefault: "zones do not matter")
        case .subset:
            Term(
                "subset", .count(1...10_000),
                "So many of the endpoints are used, each process its own; not with a hash",
                byDefault: "all")
        case .panic:
            Term(
                "panic", .either([.percent, .choice(["off"])]),
                "When a smaller share of the endpoints is available, all are used again",
                byDefault: "50%")
        }
    }
}

enum HashSourceKey: Int, LanguageKey {
    case header, claim, peer, source, client, cookie, final

    static let table = makeTable(
        "hash source", oneOf: ["header", "claim", "peer", "source", "client", "cookie"])

    var term: Term {
        switch self {
        case .header: Term("header", .anyText, "A header's values, by its name")
        case .claim:
            Term(
                "claim", .anyText,
                "A claim of the verified token; what begins with `/` is a JSON Pointer into it"
            )
        case .peer: Term("peer", .boolean, "`true`: who the client has proven to be")
        case .source:
            Term("source", .boolean, "`true`: the address at the other end of the connection")
        case .client:
            Term(
                "client", .boolean,
                "`true`: the same, or the client's address as a trusted proxy gives it")
        case .cookie: Term("cookie", .object(AffinityCookieKey.table), "A cookie's value")
        case .final:
            Term(
                "final", .boolean,
                "Where this gives a hash, what stands behind it is not looked at",
                byDefault: "false")
        }
    }
}

enum AffinityCookieKey: Int, LanguageKey {
    case name, ttl, path

    static let table = makeTable("affinity cookie")

    var term: Term {
        switch self {
        case .name: Term("name", .anyText, "What it is called", required: true)
        case .ttl:
            Term(
                "ttl", .duration(offAllowed: true),
                "Clients of plain HTTP that bring none get one for so long; `off`: until they "
                    + "are closed", byDefault: "none is given")
        case .path: Term("path", .path, "Where clients send it", byDefault: "/")
        }
    }
}

enum SlowStartKey: Int, LanguageKey {
    case window, aggression, minimum

    static let table = makeTable("slow start")

    var term: Term {
        switch self {
        case .window:
            Term(
                "window", .duration(offAllowed: false), "How long it takes to a full share",
                required: true)
        case .aggression:
            Term(
                "aggression", .count(1...10),
                "1 rises evenly; with more the share rises fast at first", byDefault: "1")
        case .minimum:
            Term("minimum", .percent, "The least share of the weight", byDefault: "10%")
        }
    }
}

enum ZonesKey: Int, LanguageKey {
    case minimum

    static let table = makeTable("zone preference")

    var term: Term {
        switch self {
        case .minimum:
            Term(
                "minimum", .percent,
                "Traffic stays in the zone while such a share of its endpoints is usable; below it "
                    + "as much leaves as is missing", byDefault: "70%")
        }
    }
}
