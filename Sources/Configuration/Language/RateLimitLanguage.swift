public import Rules

// The keys of rate limits.

enum RateLimitKey: Int, LanguageKey {
    case name, rate, burst, by, keys, mode, service

    static let table = makeTable("rate limit", oneOf: ["rate", "service"])
    static let keysRange: ClosedRange<Int64> = 8...10_000_000
    static let keysByDefault = 16_384

    var term: Term {
        switch self {
        case .name:
            Term("name", .name, "What listeners, routes and metrics call it", required: true)
        case .rate:
            Term(
                "rate", .rate, "Requests in the long run, in the whole process")
        case .burst:
            Term(
                "burst", .count(1...Int(Rate.countMax)),
                "Requests that may come at once, when none came for a while",
                byDefault: "the number in `rate`")
        case .by:
            Term(
                "by", .list(.rateLimitPart),
                "What has a bucket of its own: each combination of these that requests have; what "
                    + "a request does not have is a value like others",
                byDefault: "nothing: one bucket for all")
        case .keys:
            Term(
                "keys",
                .count(Int(Self.keysRange.lowerBound)...Int(Self.keysRange.upperBound)),
                "Buckets that are remembered at once, 16 bytes each; the fullest are forgotten",
                byDefault: "\(Self.keysByDefault)")
        case .mode:
            Term(
                "mode", .choice(["enforce", "dry_run"]),
                "`dry_run`: what it would refuse is only counted and logged",
                byDefault: "enforce")
        case .service:
            Term(
                "service", .object(LimitServiceKey.table),
                "A rate limit service that knows the rates; for routes alone")
        }
    }
}

enum LimitServiceKey: Int, LanguageKey {
    case upstream, domain, timeout, onFailure

    static let table = makeTable("rate limit service")
    static let timeoutByDefault: Int64 = 50_000_000

    var term: Term {
        switch self {
        case .upstream:
            Term("upstream", .name, "The upstream that serves it, by name", required: true)
        case .domain:
            Term(
                "domain", .text("text", pattern: ".{1,100}"), "The domain of its rates",
                required: true)
        case .timeout:
            Term(
                "timeout", .duration(offAllowed: false), "How long a request waits for its answer",
                byDefault: Duration.describe(Self.timeoutByDefault))
        case .onFailure:
            Term(
                "on_failure", .choice(["allow", "deny"]),
                "What becomes of requests while it does not answer: `deny` is UNAVAILABLE",
                byDefault: "allow")
        }
    }
}

enum RateLimitPartKey: Int, LanguageKey {
    case header, claim

    static let table = makeTable("rate limit key", oneOf: ["header", "claim"])

    var term: Term {
        switch self {
        case .header: Term("header", .anyText, "The values of a header, as clients send them")
        case .claim:
            Term(
                "claim", .anyText,
                "A claim of the valid token: text, a whole number or a boolean; a name that begins "
                    + "with `/` is a JSON Pointer into objects")
        }
    }
}

extension Shape {
    static let rateLimitParts = ["source", "client", "peer", "method", "route"]
    static let rateLimitPart = Shape.either([
        .choice(rateLimitParts), .object(RateLimitPartKey.table),
    ])
    static let rate = Shape.text(RateText.words, pattern: RateText.pattern)
}

/// Rates as the language writes them: a whole number and a period, `100/s`.
enum RateText {
    static let words = "a rate such as 100/s, 30/m or 5/h"
    static let pattern = "[1-9][0-9]*/(s|m|h)"

    private static let periods: [(suffix: String, nanoseconds: Int64)] = [
        ("/s", 1_000_000_000), ("/m", 60_000_000_000), ("/h", 3_600_000_000_000),
    ]

    static func parse(_ text: ArraySlice<UInt8>) -> Rate? {
        guard let slash = text.firstIndex(of: UInt8(ascii: "/")),
            let count = Quantity.digits(text[..<slash]), (1...Rate.countMax).contains(count),
            let period = periods.first(where: { text[slash...].elementsEqual($0.suffix.utf8) })
        else { return nil }
        return Rate(count: count, period: period.nanoseconds)
    }

    static func describe(_ rate: Rate) -> String {
        "\(rate.count)" + (periods.first { $0.nanoseconds == rate.period }?.suffix ?? "")
    }
}

extension RateLimit {
    /// `per-user: 100/s, burst 200, by claim sub`.
    public var words: String {
        let by = parts.isEmpty ? "" : ", by " + parts.map(\.words).joined(separator: " and ")
        let terms =
            service.map { "domain \(String(decoding: $0.domain, as: UTF8.self)) of a service" }
            ?? "\(RateText.describe(rate)), burst \(burst)"
        return "\(name): \(terms)\(by)"
            + (isDryRun ? ", dry run" : "")
    }

    /// `100/s`.
    public var rateWords: String { RateText.describe(rate) }
}

extension RateLimit.Part {
    public var words: String {
        switch self {
        case .source: "source"
        case .client: "client"
        case .peer: "peer"
        case .method: "method"
        case .route: "route"
        case .header(let name): "header \(String(decoding: name, as: UTF8.self))"
        case .claim(let path):
            "claim " + path.map { String(decoding: $0, as: UTF8.self) }.joined(separator: "/")
        }
    }
}
