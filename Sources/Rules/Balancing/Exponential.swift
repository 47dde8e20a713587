/// Powers without a C library, to some nine digits: enough for weights and estimates.
public enum Exponential {
    /// e to the power of `-exponent`, which is not negative.
    public static func decay(_ exponent: Double) -> Double {
        powerOfTwo(-exponent * 1.442_695_040_888_963_4)
    }

    /// `base` to the power of `exponent`, `base` from above 0 to 1 and `exponent` above 0.
    public static func power(_ base: Double, _ exponent: Double) -> Double {
        base <= 0 ? 0 : powerOfTwo(binaryLogarithm(base) * exponent)
    }

    private static func powerOfTwo(_ exponent: Double) -> Double {
        guard exponent > -1_000 else { return 0 }
        let whole = exponent.rounded(.down)
        // e^x for x from 0 to ln 2, as a Taylor series.
        let x = (exponent - whole) * 0.693_147_180_559_945_3
        var term = 1.0
        var sum = 1.0
        for index in 1...10 {
            term *= x / Double(index)
            sum += term
        }
        return Double(sign: .plus, exponent: Int(whole), significand: sum)
    }

    private static func binaryLogarithm(_ value: Double) -> Double {
        // ln m = 2 artanh((m - 1) / (m + 1)), m from 1 to 2.
        let y = (value.significand - 1) / (value.significand + 1)
        var power = y
        var sum = 0.0
        for index in 0..<9 {
            sum += power / Double(2 * index + 1)
            power *= y * y
        }
        return Double(value.exponent) + 2 * sum * 1.442_695_040_888_963_4
    }
}
