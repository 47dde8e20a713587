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
