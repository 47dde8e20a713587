/// Draws items by their weights, and chooses between those drawn.
public struct WeightedChoice: Sendable {
    /// Of so few all are looked at: the better of two still is the worst of the others too often.
    static let scanMax = 4

    public private(set) var count = 0
    /// Of the weights up to each item; empty where all are the same.
    private var sums: [UInt64] = []

    public init() {}

    /// - weights: each from 1.
    public init(_ weights: [UInt32]) {
        count = weights.count
        guard weights.contains(where: { $0 != weights[0] }) else { return }
        var sum: UInt64 = 0
        sums = weights.map { weight in
            sum += UInt64(max(1, weight))
            return sum
        }
    }

    /// A position, each as often as its weight says; 0 where there is none.
    public func draw(_ draws: inout Draws) -> Int {
        guard count > 1 else { return 0 }
        guard let total = sums.last else { return draws.next(below: count) }
        let place = UInt64(draws.next(below: Int(total)))
        var low = 0
        var high = count - 1
        while low < high {
            let middle = (low + high) / 2
            if sums[middle] > place { high = middle } else { low = middle + 1 }
        }
        return low
    }

    /// The position with the least load for its weight, of two that were drawn, or of all where
    /// they are few. Of equal ones each as often as its weight says.
    ///
    /// - load: from 0; infinite where nothing can be taken.
    public func least(_ draws: inout Draws, load: (Int) -> Double) -> Int {
        if count <= Self.scanMax { return leastOfAll(&draws, load) }
        let first = draw(&draws)
        var second = draw(&draws)
        // Heavy ones are drawn twice easily.
        for _ in 0..<3 where second == first { second = draw(&draws) }
        if second == first { second = first + 1 == count ? 0 : first + 1 }
        return load(second) / weight(second) < load(first) / weight(first) ? second : first
    }

    private func leastOfAll(_ draws: inout Draws, _ load: (Int) -> Double) -> Int {
        var chosen = 0
        var least = Double.infinity
        var equals = 0.0
        for index in 0..<count {
            let weight = weight(index)
            let value = load(index) / weight
            if value < least {
                chosen = index
                least = value
                equals = weight
            } else if value == least {
                equals += weight
                if draws.fraction() * equals < weight { chosen = index }
            }
        }
        return chosen
    }

    private func weight(_ index: Int) -> Double {
        guard !sums.isEmpty else { return 1 }
        return Double(sums[index] - (index == 0 ? 0 : sums[index - 1]))
    }
}
