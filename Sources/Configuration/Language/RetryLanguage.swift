internal import Rules

// The keys of retries.

enum RetryKey: Int, LanguageKey {
    case attempts, codes, statuses, methods, backoff, hedge, perTryTimeout, buffer, peek, budget

    static let table = makeTable("retry")

    var term: Term {
        switch self {
        case .attempts:
            Term(
                "attempts", .count(2...5), "All attempts of one call, the first included",
                byDefault: "3")
        case .codes:
            Term(
                "codes", .list(.grpcStatus),
                "gRPC statuses that are tried again, by name; also what a reset, a lost connection "
                    + "or an HTTP status means in gRPC",
                byDefault: "none")
        case .statuses:
            Term(
                "statuses", .list(.count(400...599)), "Plain HTTP: statuses that are tried again",
                byDefault: "none")
        case .methods:
            Term(
                "methods", .list(.text("an HTTP method", pattern: "[A-Z][A-Z-]*")),
                "Plain HTTP: methods that may be sent twice",
                byDefault: "GET, HEAD, OPTIONS and TRACE")
        case .backoff:
            Term("backoff", .object(BackoffKey.table), "The time between two attempts")
        case .hedge:
            Term(
                "hedge", .duration(offAllowed: true),
                "Another attempt is made beside those under way whenever so long passed without a "
                    + "response; the first good one counts. Takes the place of `backoff`",
                byDefault: "off")
        case .perTryTimeout:
            Term(
                "per_try_timeout", .duration(offAllowed: true),
                "What one attempt may take until its response begins, within the call's deadline; "
                    + "after it the next is made",
                byDefault: "off")
        case .buffer:
            Term(
                "buffer", .size(Self.bufferRange),
                "How much of a request is kept to be sent again", byDefault: "64KiB")
        case .peek:
            Term(
                "peek", .either([.choice(["off"]), .object(PeekKey.table)]),
                "How long a gRPC response is held back for the status in its trailers; `off` "
                    + "passes it on as soon as it begins")
        case .budget:
            Term(
                "budget", .object(BudgetKey.table),
                "How many retries the upstream's calls may cause")
        }
    }

    static let bufferRange: ClosedRange<Int64> = RetryPolicy.bufferBytesMin...4 << 20
}

enum BackoffKey: Int, LanguageKey {
    case base, max, multiplier

    static let table = makeTable("backoff")

    var term: Term {
        switch self {
        case .base:
            Term(
                "base", .duration(offAllowed: false),
                "Before the second attempt; a fifth of jitter either way", byDefault: "25ms")
        case .max:
            Term(
                "max", .duration(offAllowed: false), "What it grows to",
                byDefault: "ten times the base")
        case .multiplier:
            Term("multiplier", .count(1...10), "By which each is longer", byDefault: "2")
        }
    }
}

enum PeekKey: Int, LanguageKey {
    case bytes, time

    static let table = makeTable("peek")
    static let range: ClosedRange<Int64> = 1...1 << 20

    var term: Term {
        switch self {
        case .bytes:
            Term(
                "bytes", .size(Self.range),
                "A response with more body is passed on",
                byDefault: "4KiB")
        case .time:
            Term(
                "time", .duration(offAllowed: false),
                "One that takes longer after its headers is passed on", byDefault: "10ms")
        }
    }
}

enum BudgetKey: Int, LanguageKey {
    case ratio, minimum

    static let table = makeTable("budget")

    var term: Term {
        switch self {
        case .ratio:
            Term(
                "ratio", .percent,
                "Of the upstream's calls within 10 s that could be tried again", byDefault: "20%")
        case .minimum:
            Term(
                "minimum", .count(0...100_000), "Each second besides, in the whole process",
                byDefault: "10")
        }
    }
}

enum RetryThrottleKey: Int, LanguageKey {
    case tokens, ratio

    static let table = makeTable("retry throttle")

    var term: Term {
        switch self {
        case .tokens:
            Term(
                "tokens", .count(1...1_000),
                "How many there are; a failed call takes one, and while half of them are gone "
                    + "nothing is tried again", required: true)
        case .ratio:
            Term(
                "ratio", .percent, "What each other call gives back, of one token",
                byDefault: "10%")
        }
    }
}
