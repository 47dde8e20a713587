/// Durations as the language writes them: a whole number and a unit of `ms s m h`.
enum Duration {
    /// What any duration may be, in nanoseconds: from a millisecond to 24 hours.
    static let range: ClosedRange<Int64> = 1_000_000...86_400_000_000_000
    static let words = "a duration such as 250ms, 2s, 5m or 1h"
    static let pattern = "[0-9]+(ms|s|m|h)"

    private static let units: [(suffix: String, nanoseconds: Int64)] = [
        ("ms", 1_000_000), ("s", 1_000_000_000), ("m", 60_000_000_000), ("h", 3_600_000_000_000),
    ]

    /// Nanoseconds, or nil for anything else and beyond 2^63 - 1.
    static func parse(_ text: ArraySlice<UInt8>) -> Int64? { Quantity.parse(text, units) }

    /// In the largest unit that loses nothing.
    static func describe(_ nanoseconds: Int64) -> String {
        nanoseconds == 0 ? "off" : Quantity.describe(nanoseconds, units)
    }
}

/// Sizes as the language writes them: a whole number and a unit of `B KiB MiB GiB`.
enum Size {
    static let words = "a size such as 512B, 64KiB or 2MiB"
    static let pattern = "[0-9]+(B|KiB|MiB|GiB)"

    private static let units: [(suffix: String, bytes: Int64)] = [
        ("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30),
    ]

    /// Bytes, or nil for anything else and beyond 2^63 - 1.
    static func parse(_ text: ArraySlice<UInt8>) -> Int64? { Quantity.parse(text, units) }

    static func describe(_ bytes: Int64) -> String { Quantity.describe(bytes, units) }
}

/// Shares as the language writes them: a number with at most two decimals and `%`.
enum Percent {
    static let words = "a share such as 10% or 0.25%"
    static let pattern = "[0-9]+([.][0-9]{1,2})?%"
    /// In hundredths of a percent.
    static let range: ClosedRange<Int64> = 1...10_000

    /// Hundredths of a percent, or nil for anything else and beyond 2^63 - 1.
    static func parse(_ text: ArraySlice<UInt8>) -> Int64? {
        guard text.last == UInt8(ascii: "%") else { return nil }
        let number = text.dropLast()
        let point = number.firstIndex(of: UInt8(ascii: ".")) ?? number.endIndex
        var decimals = number[point...].dropFirst()
        guard let whole = Quantity.digits(number[..<point]), decimals.count <= 2,
            point == number.endIndex || !decimals.isEmpty, decimals.allSatisfy(\.isDigit)
        else { return nil }
        while decimals.count < 2 { decimals.append(UInt8(ascii: "0")) }
        let hundredths = decimals.reduce(Int64(0)) { $0 * 10 + Int64($1 - UInt8(ascii: "0")) }
        let (product, overflowed) = whole.multipliedReportingOverflow(by: 100)
        let (sum, carried) = product.addingReportingOverflow(hundredths)
        return overflowed || carried ? nil : sum
    }

    /// One that is kept as so many of 2^32.
    static func text(ofShare share: UInt64) -> String {
        describe(Int64((share * 10_000 + 1 << 31) >> 32))
    }

    static func describe(_ hundredths: Int64) -> String {
        let rest = hundredths % 100
        if rest == 0 { return "\(hundredths / 100)%" }
        return "\(hundredths / 100).\(rest / 10)\(rest % 10)%"
    }
}

enum Quantity {
    /// Decimal digits without leading zeros; nil for anything else and beyond 2^63 - 1.
    static func digits(_ text: ArraySlice<UInt8>) -> Int64? {
        guard let first = text.first, first != 0x30 || text.count == 1 else { return nil }
        var number: Int64 = 0
        for byte in text {
            guard byte.isDigit else { return nil }
            let (tenfold, overflowed) = number.multipliedReportingOverflow(by: 10)
            let (sum, carried) = tenfold.addingReportingOverflow(Int64(byte - 0x30))
            if overflowed || carried { return nil }
            number = sum
        }
        return number
    }

    static func parse(_ text: ArraySlice<UInt8>, _ units: [(String, Int64)]) -> Int64? {
        let end = text.firstIndex(where: { !$0.isDigit }) ?? text.endIndex
        guard let number = digits(text[..<end]),
            let unit = units.first(where: { text[end...].elementsEqual($0.0.utf8) })
        else { return nil }
        let (product, overflowed) = number.multipliedReportingOverflow(by: unit.1)
        return overflowed ? nil : product
    }

    static func describe(_ value: Int64, _ units: [(String, Int64)]) -> String {
        for (suffix, factor) in units.reversed() where value % factor == 0 {
            return "\(value / factor)\(suffix)"
        }
        return "\(value)"
    }
}
