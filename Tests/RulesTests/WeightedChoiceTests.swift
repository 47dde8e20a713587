import Rules
import Testing

@Suite("Choosing by chance")
struct WeightedChoiceTests {
    private static let rounds = 100_000

    /// How often each is expected, and five standard deviations of that.
    private func expect(_ counts: [Int], shares: [Double], _ comment: Comment) {
        for (count, share) in zip(counts, shares) {
            let expected = Double(Self.rounds) * share
            let deviation = (expected * (1 - share)).squareRoot()
            #expect(abs(Double(count) - expected) <= 5 * deviation + 1, comment)
        }
    }

    @Test(
        "each is drawn as often as its weight says",
        arguments: [[1, 1, 1, 1, 1], [1, 2, 3], [1_000, 1], [5], [7, 7, 1, 7, 7, 7]] as [[UInt32]])
    func draw(weights: [UInt32]) {
        let choice = WeightedChoice(weights)
        var draws = Draws(seed: 3)
        var counts = [Int](repeating: 0, count: weights.count)
        for _ in 0..<Self.rounds { counts[choice.draw(&draws)] += 1 }
        let sum = Double(weights.reduce(0, +))
        expect(counts, shares: weights.map { Double($0) / sum }, "\(weights): \(counts)")
    }

    @Test(
        "of endpoints with nothing to do each is taken as often as its weight says",
        arguments: [[1, 1, 1], [1, 2, 5], [1, 1, 1, 1, 1, 1]] as [[UInt32]])
    func idle(weights: [UInt32]) {
        let choice = WeightedChoice(weights)
        var draws = Draws(seed: 4)
        var counts = [Int](repeating: 0, count: weights.count)
        for _ in 0..<Self.rounds { counts[choice.least(&draws) { _ in 0 }] += 1 }
        let sum = Double(weights.reduce(0, +))
        expect(counts, shares: weights.map { Double($0) / sum }, "\(weights): \(counts)")
    }

    @Test("of up to four the least loaded is taken, always")
    func scan() {
        let choice = WeightedChoice([1, 1, 1, 1])
        var draws = Draws(seed: 5)
        for _ in 0..<100 { #expect(choice.least(&draws) { [3, 1, 2, .infinity][$0] } == 1) }
    }

    @Test("of more, the better of two: whoever is k-th of n by load with 2 (n - k) in n (n - 1)")
    func twoChoices() {
        let count = 8
        let choice = WeightedChoice([UInt32](repeating: 1, count: count))
        var draws = Draws(seed: 6)
        var counts = [Int](repeating: 0, count: count)
        for _ in 0..<Self.rounds { counts[choice.least(&draws) { Double($0) }] += 1 }
        // The last retry of an equal pair takes the neighbour: one pair in 8^4.
        let shares = (1...count).map { Double(2 * (count - $0)) / Double(count * (count - 1)) }
        expect(counts, shares: shares, "\(counts)")
    }

    @Test("load counts by weight")
    func weighted() {
        let choice = WeightedChoice([1, 4])
        var draws = Draws(seed: 7)
        #expect(choice.least(&draws) { [2, 7][$0] } == 1)
        #expect(choice.least(&draws) { [1, 5][$0] } == 0)
    }

    @Test("two choices keep the fullest low: within log log n of the mean")
    func fullest() {
        let count = 100
        let choice = WeightedChoice([UInt32](repeating: 1, count: count))
        var draws = Draws(seed: 8)
        var loads = [Int](repeating: 0, count: count)
        var random = loads
        for _ in 0..<count * 100 {
            loads[choice.least(&draws) { Double(loads[$0]) }] += 1
            random[choice.draw(&draws)] += 1
        }
        // ln ln 100 / ln 2 = 2.2, and a constant; by chance alone it is some 2.5 deviations of 10.
        #expect(loads.max() ?? 0 <= 100 + 5)
        #expect(random.max() ?? 0 > 115)
    }

    @Test("none, and one, need no draw")
    func few() {
        var draws = Draws(seed: 9)
        #expect(WeightedChoice([]).draw(&draws) == 0)
        #expect(WeightedChoice([3]).least(&draws) { _ in .infinity } == 0)
    }
}
