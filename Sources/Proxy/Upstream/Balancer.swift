internal import Rules

/// Which of an upstream's endpoints take part, and whose turn it is, as one worker sees it.
///
/// `candidates` are what an attempt's endpoint is looked for among: all endpoints that are
/// available, or all of them where so few are that those would be overrun (`isPanicking`). The list
/// is made anew when one of them is found unavailable, and every `lookNanoseconds` while it is not
/// all.
struct Balancer {
    /// How late an endpoint that is available again may be noticed.
    private static let lookNanoseconds: Int64 = 50_000_000
    /// Percent of the endpoints.
    private static let panicShare = 50

    private(set) var candidates: [Borrowed<Endpoint>] = []
    private(set) var isPanicking = false
    /// How many of how many are available, when it was last looked.
    private(set) var availableCount = 0
    private(set) var count = 0
    /// Some endpoints are unavailable, so that the list must be looked at again.
    private(set) var isPartial = false
    private var lookAt: Int64 = 0
    private var next = 0
    /// Empty where all weights are the same.
    private var rotation = WeightedRotation()

    init() {}

    /// Makes the list from `endpoints`, which outlive it.
    mutating func look(at endpoints: [Endpoint], now: Int64, draw: UInt64) {
        let available = endpoints.filter(\.isAvailable)
        count = endpoints.count
        availableCount = available.count
        isPartial = availableCount < count
        isPanicking = isPartial && availableCount * 100 < count * Self.panicShare
        lookAt = now + Self.lookNanoseconds
        let chosen = isPanicking ? endpoints : available
        candidates = chosen.map { Borrowed($0) }
        if next >= candidates.count { next = 0 }
        let weights = chosen.map(\.terms.weight)
        let isWeighted = weights.contains { $0 != weights[0] }
        if isWeighted || !rotation.isEmpty { rotation.set(isWeighted ? weights : [], draw: draw) }
    }

    @inline(always)
    func isOutdated(now: Int64) -> Bool { isPartial && now >= lookAt }

    /// Where in `candidates` to look first.
    @inline(always)
    mutating func start() -> Int { rotation.isEmpty ? next : rotation.next() }

    /// The endpoint at `index` was taken.
    @inline(always)
    mutating func took(_ index: Int) { next = index &+ 1 >= candidates.count ? 0 : index &+ 1 }
}
