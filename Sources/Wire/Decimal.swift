/// Decimal digits and numbers.
enum Decimal {
    /// The number that `digits`, one or more ASCII digits and nothing else, spell; nil for other
    /// bytes, for no bytes, and beyond 2^63 - 1.
    static func parse(_ digits: Span<UInt8>) -> Int64? {
        guard !digits.isEmpty else { return nil }
        var number: Int64 = 0
        for index in digits.indices {
            let digit = digits[index] &- UInt8(ascii: "0")
            guard digit <= 9 else { return nil }
            let (tenfold, overflowed) = number.multipliedReportingOverflow(by: 10)
            let (sum, carried) = tenfold.addingReportingOverflow(Int64(digit))
            if overflowed || carried { return nil }
            number = sum
        }
        return number
    }
}
