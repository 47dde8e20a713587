// The keys of what is told: the access log, metrics, administration.

enum AccessLogKey: Int, LanguageKey {
    case file, format, only, sample

    static let table = makeTable("access log")

    var term: Term {
        switch self {
        case .file:
            Term(
                "file", .text("a path, `stdout` or `stderr`", pattern: ".+"),
                "Where the lines go; a file is made where there is none, its folder is not",
                required: true)
        case .format:
            Term("format", .choice(["json", "text"]), "How a line looks", byDefault: "json")
        case .only:
            Term(
                "only", .choice(["all", "errors"]), "Which exchanges have a line", byDefault: "all")
        case .sample:
            Term(
                "sample", .percent, "The share of exchanges without an error that have a line",
                byDefault: "100%")
        }
    }
}

enum MetricsKey: Int, LanguageKey {
    case address, descriptors

    static let table = makeTable("metrics")

    var term: Term {
        switch self {
        case .address:
            Term(
                "address", .text("an address", pattern: ".+"),
                "Serves `/metrics` (Prometheus), `/live` and `/ready` over HTTP/1.1, to read only",
                required: true)
        case .descriptors:
            Term(
                "descriptors", .text("a path", pattern: ".+"),
                "A file of protobuf descriptors (`protoc --descriptor_set_out`): their methods "
                    + "have series of their own, whatever routes match",
                byDefault: "none")
        }
    }
}

enum AdminKey: Int, LanguageKey {
    case address

    static let table = makeTable("admin")

    var term: Term {
        Term(
            "address", .text("`unix:` and a path", pattern: "^unix:.+"),
            "A unix socket, for Weir's own user and root only", required: true)
    }
}
