/// Base64 (RFC 4648, 4) as gRPC's `-bin` metadata uses it: read with or without padding, written
/// without.
public enum Base64 {
    public static func encode(_ bytes: Span<UInt8>, into output: inout [UInt8]) {
        var bits: UInt32 = 0
        var bitCount = 0
        for index in bytes.indices {
            bits = bits << 8 | UInt32(bytes[index])
            bitCount += 8
            while bitCount >= 6 {
                bitCount -= 6
                output.append(character(bits >> UInt32(bitCount) & 0x3f))
            }
        }
        if bitCount > 0 { output.append(character(bits << UInt32(6 - bitCount) & 0x3f)) }
    }

    /// Appends the bytes that `text` stands for; false, with `output` as it was, for characters
    /// outside the alphabet and impossible lengths. Bits to spare are ignored.
    public static func decode(_ text: Span<UInt8>, into output: inout [UInt8]) -> Bool {
        var end = text.count
        if end % 4 == 0, end > 0, text[end - 1] == UInt8(ascii: "=") {
            end -= text[end - 2] == UInt8(ascii: "=") ? 2 : 1
        }
        guard end % 4 != 1 else { return false }
        let countBefore = output.count
        var bits: UInt32 = 0
        var bitCount = 0
        for index in 0..<end {
            guard let value = value(text[index]) else {
                output.removeLast(output.count - countBefore)
                return false
            }
            bits = bits << 6 | value
            bitCount += 6
            if bitCount >= 8 {
                bitCount -= 8
                output.append(UInt8(truncatingIfNeeded: bits >> UInt32(bitCount)))
            }
        }
        return true
    }

    private static func character(_ value: UInt32) -> UInt8 {
        let value = UInt8(truncatingIfNeeded: value)
        return switch value {
        case ..<26: UInt8(ascii: "A") + value
        case ..<52: UInt8(ascii: "a") + (value - 26)
        case ..<62: UInt8(ascii: "0") + (value - 52)
        case 62: UInt8(ascii: "+")
        default: UInt8(ascii: "/")
        }
    }

    private static func value(_ character: UInt8) -> UInt32? {
        switch character {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): UInt32(character - UInt8(ascii: "A"))
        case UInt8(ascii: "a")...UInt8(ascii: "z"): UInt32(character - UInt8(ascii: "a")) + 26
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(character - UInt8(ascii: "0")) + 52
        case UInt8(ascii: "+"): 62
        case UInt8(ascii: "/"): 63
        default: nil
        }
    }
}
