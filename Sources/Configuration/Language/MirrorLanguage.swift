internal import Rules

// The keys of a route's mirror.

enum MirrorKey: Int, LanguageKey {
    case upstream, share

    static let table = makeTable("mirror")

    var term: Term {
        switch self {
        case .upstream:
            Term("upstream", .name, "Which upstream gets the copies", required: true)
        case .share:
            Term("share", .shareOrOff, "Of the route's requests", byDefault: "100%")
        }
    }
}
