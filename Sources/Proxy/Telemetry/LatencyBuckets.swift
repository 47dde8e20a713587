/// Upper bounds of latency histograms, those that gRFC A66 gives, in nanoseconds.
public enum LatencyBuckets {
    public static let bounds: [Int64] = [
        10_000, 50_000, 100_000, 300_000, 600_000, 800_000, 1_000_000, 2_000_000, 3_000_000,
        4_000_000, 5_000_000, 6_000_000, 8_000_000, 10_000_000, 13_000_000, 16_000_000,
        20_000_000, 25_000_000, 30_000_000, 40_000_000, 50_000_000, 65_000_000, 80_000_000,
        100_000_000, 130_000_000, 160_000_000, 200_000_000, 250_000_000, 300_000_000,
        400_000_000, 500_000_000, 650_000_000, 800_000_000, 1_000_000_000, 2_000_000_000,
        5_000_000_000, 10_000_000_000, 20_000_000_000, 50_000_000_000, 100_000_000_000,
    ]

    /// One for each bound, and one for what is above all of them.
    public static let count = 41

    /// The bounds, and as many more that nothing is above as make 64: each search takes six steps
    /// then, and none of them is a branch that a processor could guess wrongly.
    static let steps: [Int64] = bounds + Array(repeating: .max, count: 64 - bounds.count)

    /// The position of the first of the bounds that is not below `nanoseconds`.
    @inline(always)
    static func position(_ nanoseconds: Int64, in steps: [Int64]) -> Int {
        var position = 0
        var step = 32
        while step > 0 {
            let isAbove = steps[position &+ step &- 1] < nanoseconds
            position &+= isAbove ? step : 0
            step &>>= 1
        }
        return position
    }
}
