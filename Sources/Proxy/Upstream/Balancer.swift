internal import Rules

/// Which of an upstream's endpoints take part, and which is next, as one worker sees it.
///
/// `candidates` are what an attempt's endpoint is looked for among: all endpoints that are
/// available, or all of them where so few are that those would be overrun (`isPanicking`). The list
/// is made anew when one of them is found unavailable, and every `lookNanoseconds` while it is not
/// all.
struct Balancer {
    /// How late an endpoint that is available again may be noticed.
    private static let lookNanoseconds: Int64 = 50_000_000

    private(set) var candidates: [Borrowed<Endpoint>] = []
    private(set) var isPanicking = false
    /// How many of how many are available, when it was last looked.
    private(set) var availableCount = 0
    private(set) var count = 0
    /// Some endpoints are unavailable, so that the list must be looked at again.
    private(set) var isPartial = false
    private(set) var terms: BalanceTerms
    private var lookAt: Int64 = 0
    private var next = 0
    /// Empty where endpoints take turns without weights.
    private var rotation = WeightedRotation()
    private var choice = WeightedChoice()
    private var draws: Draws

    init(_ terms: BalanceTerms, draw: UInt64) {
        self.terms = terms
        draws = Draws(seed: draw)
    }

    mutating func update(_ newTerms: BalanceTerms) {
        terms = newTerms
        rotation = WeightedRotation()
    }

    /// Makes the list from `endpoints`, which outlive it.
    mutating func look(at endpoints: [Endpoint], now: Int64) {
        let available = endpoints.filter(\.isAvailable)
        count = endpoints.count
        availableCount = available.count
        isPartial = availableCount < count
        isPanicking = isPartial && terms.isPanic(available: availableCount, of: count)
        lookAt = now + Self.lookNanoseconds
        let chosen = isPanicking ? endpoints : available
        candidates = chosen.map { Borrowed($0) }
        if next >= candidates.count { next = 0 }
        weigh(chosen.map(\.terms.weight))
    }

    private mutating func weigh(_ weights: [UInt32]) {
        switch terms.algorithm {
        case .roundRobin:
            let isWeighted = weights.contains { $0 != weights[0] }
            guard isWeighted || !rotation.isEmpty else { return }
            rotation.set(isWeighted ? weights : [], draw: draws.next())
        case .random, .leastRequest, .peakEWMA:
            choice = WeightedChoice(weights)
        }
    }

    @inline(always)
    func isOutdated(now: Int64) -> Bool { isPartial && now >= lookAt }

    /// Where in `candidates` to look first.
    ///
    /// - load: of the one at a position; infinite where nothing can be taken.
    @inline(always)
    mutating func start(_ load: (Int) -> Double) -> Int {
        if terms.algorithm == .roundRobin { return rotation.isEmpty ? next : rotation.next() }
        return choose(load)
    }

    private mutating func choose(_ load: (Int) -> Double) -> Int {
        switch terms.algorithm {
        case .leastRequest, .peakEWMA: choice.least(&draws, load: load)
        default: choice.draw(&draws)
        }
    }

    /// At how many places to look: the first, and where that took nothing all others. Where they do
    /// not follow it, it may be among them once more.
    @inline(always)
    var looks: Int {
        terms.algorithm == .roundRobin || candidates.isEmpty
            ? candidates.count : candidates.count &+ 1
    }

    /// Where to look on when the one at `start` took nothing: endpoints that take turns follow each
    /// other, but the next in a list must not get all that would have been another's.
    mutating func restart(after start: Int) -> Int {
        guard terms.algorithm != .roundRobin else { return start }
        return candidates.count > 1 ? draws.next(below: candidates.count) : 0
    }

    /// The endpoint at `index` was taken.
    @inline(always)
    mutating func took(_ index: Int) { next = index &+ 1 >= candidates.count ? 0 : index &+ 1 }
}
