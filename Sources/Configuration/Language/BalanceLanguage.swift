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
    case algorithm, decay, initialLatency, failurePenalty, panic

    static let table = makeTable("balance")
    static let algorithms = Shape.choice(names)
    static let names = BalanceTerms.Algorithm.allCases.map(\.rawValue)

    var term: Term {
        switch self {
        case .algorithm:
            Term("algorithm", Self.algorithms, "Which endpoint is next", byDefault: "round_robin")
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
        case .panic:
            Term(
                "panic", .either([.percent, .choice(["off"])]),
                "When a smaller share of the endpoints is available, all are used again",
                byDefault: "50%")
        }
    }
}
