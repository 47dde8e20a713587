// The keys of `overload`.

enum OverloadKey: Int, LanguageKey {
    case memory, lag

    static let table = makeTable("overload")
    /// Below that timers are late as a matter of course.
    static let lagMin: Int64 = 10_000_000
    static let memoryRange: ClosedRange<Int64> = 1 << 20...1 << 50

    var term: Term {
        switch self {
        case .memory:
            Term(
                "memory", .either([.size(Self.memoryRange), .choice(["off"])]),
                "What the process may use of memory; near it less is done, in stages",
                byDefault: "80% of what its cgroup or the machine has")
        case .lag:
            Term(
                "lag", .duration(offAllowed: true),
                "How late a worker may be, for a second, before it refuses requests; from 10ms",
                byDefault: "500ms")
        }
    }
}
