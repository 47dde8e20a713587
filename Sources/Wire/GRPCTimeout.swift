/// grpc-timeout ("gRPC over HTTP2"): one to eight digits and a unit of `H M S m u n`.
public enum GRPCTimeout {
    /// A grpc-timeout value: the first `count` of `bytes`.
    public struct EncodedTimeout: Sendable {
        public var bytes: [9 of UInt8]
        public var count: Int
    }

    /// The time in nanoseconds, at most 2^63 - 1; nil if malformed. `0n` is valid and is over at
    /// once.
    public static func parse(_ value: Span<UInt8>) -> Int64? {
        let digits = value.count - 1
        guard digits >= 1, digits <= 8, let unit = nanoseconds(unit: value[digits]) else {
            return nil
        }
        guard let number = Decimal.parse(value.extracting(0..<digits)) else { return nil }
        let (product, overflowed) = number.multipliedReportingOverflow(by: unit)
        return overflowed ? .max : product
    }

    /// The longest time a value can tell that is no longer than `nanoseconds`, in the finest unit
    /// whose count fits eight digits: at most a hundred-thousandth is lost.
    /// Nothing left, or less, is `0n`.
    public static func encode(_ nanoseconds: Int64) -> EncodedTimeout {
        var count = max(nanoseconds, 0)
        var unit = UInt8(ascii: "n")
        if count > digitsMax {
            (count, unit) = coarser(nanoseconds)
        }
        return spell(count, unit)
    }

    private static let digitsMax: Int64 = 99_999_999

    /// The count in the finest unit above nanoseconds that fits. Hours always fit.
    private static func coarser(_ nanoseconds: Int64) -> (Int64, UInt8) {
        let microseconds = nanoseconds / 1_000
        if microseconds <= digitsMax { return (microseconds, UInt8(ascii: "u")) }
        let milliseconds = nanoseconds / 1_000_000
        if milliseconds <= digitsMax { return (milliseconds, UInt8(ascii: "m")) }
        let seconds = nanoseconds / 1_000_000_000
        if seconds <= digitsMax { return (seconds, UInt8(ascii: "S")) }
        let minutes = seconds / 60
        if minutes <= digitsMax { return (minutes, UInt8(ascii: "M")) }
        return (seconds / 3_600, UInt8(ascii: "H"))
    }

    private static func spell(_ number: Int64, _ unit: UInt8) -> EncodedTimeout {
        var digits = 1
        var bound: Int64 = 10
        while number >= bound, digits < 8 {
            digits += 1
            bound *= 10
        }
        var encoded = EncodedTimeout(bytes: .init(repeating: 0), count: digits + 1)
        encoded.bytes[digits] = unit
        var rest = number
        var index = digits - 1
        while index >= 0 {
            encoded.bytes[index] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
            rest /= 10
            index -= 1
        }
        return encoded
    }

    private static func nanoseconds(unit: UInt8) -> Int64? {
        switch unit {
        case UInt8(ascii: "n"): 1
        case UInt8(ascii: "u"): 1_000
        case UInt8(ascii: "m"): 1_000_000
        case UInt8(ascii: "S"): 1_000_000_000
        case UInt8(ascii: "M"): 60_000_000_000
        case UInt8(ascii: "H"): 3_600_000_000_000
        default: nil
        }
    }
}
