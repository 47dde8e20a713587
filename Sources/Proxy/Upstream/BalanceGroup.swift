internal import Rules

/// Endpoints among which one is chosen, and whose turn it is.
struct BalanceGroup {
    private(set) var candidates: [Borrowed<Endpoint>] = []
    private var weights: [UInt32] = []
    private var next = 0
    /// Empty where endpoints take turns without weights.
    private var rotation = WeightedRotation()
    private(set) var choice = WeightedChoice()

    var isEmpty: Bool { candidates.isEmpty }
    var isWeighted: Bool { !rotation.isEmpty }

    /// Takes others, which outlive it; turns go on where they can.
    mutating func take(
        _ endpoints: [Endpoint], _ newWeights: [UInt32],
        _ algorithm: BalanceTerms.Algorithm, draw: UInt64
    ) {
        candidates = endpoints.map { Borrowed($0) }
        if next >= candidates.count { next = 0 }
        guard newWeights != weights || newWeights.isEmpty else { return }
        weights = newWeights
        guard algorithm == .roundRobin else { return choice = WeightedChoice(newWeights) }
        let isWeighted = newWeights.contains { $0 != newWeights[0] }
        if isWeighted || !rotation.isEmpty {
            rotation.set(isWeighted ? newWeights : [], draw: draw)
        }
    }

    /// Whose turn it is.
    @inline(always)
    mutating func turn() -> Int { rotation.isEmpty ? next : rotation.next() }

    /// The endpoint at `index` was taken.
    @inline(always)
    mutating func took(_ index: Int) { next = index &+ 1 >= candidates.count ? 0 : index &+ 1 }
}
