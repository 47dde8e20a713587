/// The percent-encoding of grpc-message ("gRPC over HTTP2", Responses).
public enum PercentCoding {
    /// Appends `message`, UTF-8, encoded: all but 0x20 to 0x24 and 0x26 to 0x7e, and a space at
    /// either end too, since a field value may not begin or end with one (RFC 9113, 8.2.1).
    public static func encode(_ message: Span<UInt8>, into output: inout [UInt8]) {
        for index in message.indices {
            let byte = message[index]
            let isPrintable = byte >= 0x20 && byte <= 0x7e && byte != UInt8(ascii: "%")
            let isAtEnd = index == 0 || index == message.count - 1
            if isPrintable, !(isAtEnd && byte == UInt8(ascii: " ")) {
                output.append(byte)
            } else {
                output.append(UInt8(ascii: "%"))
                output.append(digit(byte >> 4))
                output.append(digit(byte & 0xf))
            }
        }
    }

    /// Appends what `value` encodes. A `%` without two hexadecimal digits stands for itself: a bad
    /// message must not hide the status it came with. The result need not be UTF-8.
    public static func decode(_ value: Span<UInt8>, into output: inout [UInt8]) {
        var index = 0
        while index < value.count {
            let byte = value[index]
            if byte == UInt8(ascii: "%"), index + 2 < value.count,
                let high = hexadecimalDigit(value[index + 1]),
                let low = hexadecimalDigit(value[index + 2])
            {
                output.append(high << 4 | low)
                index += 3
            } else {
                output.append(byte)
                index += 1
            }
        }
    }

    private static func digit(_ value: UInt8) -> UInt8 {
        value < 10 ? UInt8(ascii: "0") + value : UInt8(ascii: "A") + (value - 10)
    }
}
