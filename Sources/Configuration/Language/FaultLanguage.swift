internal import Rules

// The keys of faults that routes inject.

enum FaultKey: Int, LanguageKey {
    case delay, abort, loweredBy

    static let table = makeTable("fault")

    var term: Term {
        switch self {
        case .delay: Term("delay", .object(FaultDelayKey.table), "Requests wait", byDefault: "none")
        case .abort:
            Term(
                "abort", .object(FaultAbortKey.table),
                "Requests are answered by Weir, after the delay and before a server is asked",
                byDefault: "none")
        case .loweredBy:
            Term(
                "lowered_by", .anyText,
                "A header with which callers choose a lower share of both, such as `5` or `0.5%`",
                byDefault: "none")
        }
    }
}

enum FaultDelayKey: Int, LanguageKey {
    case duration, share

    static let table = makeTable("fault delay")

    var term: Term {
        switch self {
        case .duration:
            Term("duration", .duration(offAllowed: false), "How long", required: true)
        case .share: Term("share", .percent, "Of the route's requests", required: true)
        }
    }
}

enum FaultAbortKey: Int, LanguageKey {
    case grpcStatus, status, share

    static let table = makeTable("fault abort")

    var term: Term {
        switch self {
        case .grpcStatus:
            Term(
                "grpc_status", .grpcStatus, "What gRPC callers get",
                byDefault: "what gRPC takes `status` for")
        case .status:
            Term(
                "status", .count(400...599), "What plain HTTP callers get",
                byDefault: "what stands for `grpc_status` in HTTP")
        case .share: Term("share", .percent, "Of the route's requests", required: true)
        }
    }
}
