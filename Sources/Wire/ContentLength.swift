/// content-length (RFC 9110, 8.6).
public enum ContentLength {
    /// The length in bytes; nil for anything but digits, and beyond 2^63 - 1.
    public static func parse(_ value: Span<UInt8>) -> Int64? { Decimal.parse(value) }
}
