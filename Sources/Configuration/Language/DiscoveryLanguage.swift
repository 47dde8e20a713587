// The keys of endpoints that are found elsewhere.

enum EndpointSourceKey: Int, LanguageKey {
    case dns, file

    static let table = makeTable("endpoint source", oneOf: ["dns", "file"])

    var term: Term {
        switch self {
        case .dns:
            Term(
                "dns",
                .either([
                    .text("a name and a port", pattern: "[A-Za-z0-9._-]+:[0-9]{1,5}"),
                    .object(DNSKey.table),
                ]),
                "A name that is looked up again and again; text alone is its name and port")
        case .file:
            Term(
                "file", .anyText,
                "A file with a list of endpoints, in YAML or JSON; it is watched by itself")
        }
    }
}

enum DNSKey: Int, LanguageKey {
    case name, port, type, minTTL, maxTTL, timeout, tries, servers, empty

    static let table = makeTable("dns")
    static let triesRange = 1...10
    static let serversMax = 16

    var term: Term {
        switch self {
        case .name:
            Term(
                "name", .text("a DNS name", pattern: "[A-Za-z0-9._-]+"),
                "What is looked up; with a dot at its end no search domain is tried",
                required: true)
        case .port:
            Term("port", .port, "The endpoints' port", byDefault: "the answer's, with `type: srv`")
        case .type:
            Term(
                "type", .choice(["both", "a", "aaaa", "srv"]),
                "`both` is A and AAAA; `srv` gives ports, weights and priorities as well",
                byDefault: "both")
        case .minTTL:
            Term(
                "min_ttl", .duration(offAllowed: false),
                "How long an answer holds at least, from 1s", byDefault: "5s")
        case .maxTTL:
            Term(
                "max_ttl", .duration(offAllowed: false), "How long it holds at most",
                byDefault: "5m")
        case .timeout:
            Term(
                "timeout", .duration(offAllowed: false),
                "How long a server has for the first try; doubled with each", byDefault: "2s")
        case .tries:
            Term("tries", .count(Self.triesRange), "How often each server is tried", byDefault: "2")
        case .servers:
            Term(
                "servers", .list(.address), "Whom to ask, in this order",
                byDefault: "those of /etc/resolv.conf")
        case .empty:
            Term(
                "empty", .choice(["keep", "take"]),
                "What becomes of the endpoints when the name has no address any more",
                byDefault: "keep")
        }
    }
}
