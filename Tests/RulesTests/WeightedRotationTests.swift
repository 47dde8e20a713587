import Rules
import Testing

@Suite("Round robin by weight")
struct WeightedRotationTests {
    @Test(
        "in every round each is chosen as often as its weight says",
        arguments: [[1, 1], [5, 1, 1], [3, 2, 1], [7], [1_000, 1], [2, 2, 3, 1, 9]] as [[UInt32]])
    func shares(weights: [UInt32]) {
        let sum = Int(weights.reduce(0, +))
        for draw in 0..<20 as Range<UInt64> {
            var rotation = WeightedRotation()
            rotation.set(weights, draw: draw)
            var counts = [Int](repeating: 0, count: weights.count)
            for _ in 0..<sum * 3 { counts[rotation.next()] += 1 }
            for (count, weight) in zip(counts, weights) {
                #expect(abs(count - Int(weight) * 3) <= 1, "draw \(draw): \(counts)")
            }
        }
    }

    @Test("a heavy item's turns are spread over the round")
    func isSpread() {
        for draw in 0..<20 as Range<UInt64> {
            var rotation = WeightedRotation()
            rotation.set([4, 1, 1, 1, 1], draw: draw &* 0x1234_5678_9abc_def1)
            var run = 0
            var longest = 0
            for _ in 0..<400 {
                run = rotation.next() == 0 ? run + 1 : 0
                longest = max(longest, run)
            }
            #expect(longest <= 3)
        }
    }

    @Test("new weights hold from the next turn on")
    func newWeights() {
        var rotation = WeightedRotation()
        rotation.set([1, 1_000], draw: 7)
        _ = rotation.next()
        rotation.set([4, 1], draw: 8)
        var counts = [0, 0]
        for _ in 0..<500 { counts[rotation.next()] += 1 }
        #expect(abs(counts[0] - 400) <= 1)
        rotation.set([], draw: 9)
        #expect(rotation.isEmpty)
        #expect(rotation.next() == 0)
    }
}

@Suite("Draws")
struct DrawsTests {
    @Test("numbers below a bound come equally often", arguments: [1, 2, 3, 7, 100])
    func uniform(bound: Int) {
        var draws = Draws(seed: 42)
        let rounds = 100_000
        var counts = [Int](repeating: 0, count: bound)
        for _ in 0..<rounds { counts[draws.next(below: bound)] += 1 }
        let expected = Double(rounds) / Double(bound)
        // Five standard deviations of a binomial count.
        let tolerance = 5 * expected.squareRoot()
        for count in counts { #expect(abs(Double(count) - expected) <= tolerance) }
    }

    @Test("fractions lie between 0 and 1, half of them below a half")
    func fractions() {
        var draws = Draws(seed: 1)
        var below = 0
        for _ in 0..<10_000 {
            let fraction = draws.fraction()
            #expect(fraction >= 0 && fraction < 1)
            if fraction < 0.5 { below += 1 }
        }
        #expect(abs(below - 5_000) <= 250)
    }
}
