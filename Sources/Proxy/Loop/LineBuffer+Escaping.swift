/// Texts from outside, written so that any bytes give a valid line.
extension LineBuffer {
    private static var hexDigits: StaticString { "0123456789abcdef" }
    private static var upperHexDigits: StaticString { "0123456789ABCDEF" }

    /// From ` key=`: `,"key":`.
    @inline(always)
    func appendJSONKey(_ key: StaticString) {
        let count = key.utf8CodeUnitCount &- 2
        precondition(count > 0, "a key without a name")
        append(UInt8(ascii: ","))
        append(UInt8(ascii: "\""))
        append(unsafe ByteView(key.utf8Start + 1, count))
        append(UInt8(ascii: "\""))
        append(UInt8(ascii: ":"))
    }

    /// As a JSON string (RFC 8259, 7). UTF-8 stays as it is; a byte that is none becomes `%XX`.
    func appendQuoted(_ text: Span<UInt8>) {
        append(UInt8(ascii: "\""))
        var plain = 0
        var index = 0
        while index < text.count {
            let byte = text[index]
            if byte >= 0x20, byte < 0x7f, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\") {
                index &+= 1
                continue
            }
            let length = byte < 0x80 ? 0 : Self.sequenceLength(text, at: index)
            if length > 0 {
                index &+= length
                continue
            }
            append(text.extracting(plain..<index))
            appendEscape(byte)
            index &+= 1
            plain = index
        }
        append(text.extracting(plain..<text.count))
        append(UInt8(ascii: "\""))
    }

    /// As the value of `key=value`: as it is where that is unmistakable, in quotes otherwise.
    func appendText(_ text: Span<UInt8>) {
        for index in text.indices {
            let byte = text[index]
            let isPlain =
                byte > 0x20 && byte < 0x7f && byte != UInt8(ascii: "\"")
                && byte != UInt8(ascii: "\\") && byte != UInt8(ascii: "=")
            if !isPlain { return appendQuoted(text) }
        }
        append(text)
    }

    private func appendEscape(_ byte: UInt8) {
        switch byte {
        case UInt8(ascii: "\""): append("\\\"")
        case UInt8(ascii: "\\"): append("\\\\")
        case 0x0a: append("\\n")
        case 0x0d: append("\\r")
        case 0x09: append("\\t")
        case ..<0x80:
            append("\\u00")
            append(Self.hexDigit(byte >> 4, Self.hexDigits))
            append(Self.hexDigit(byte & 15, Self.hexDigits))
        default:
            append(UInt8(ascii: "%"))
            append(Self.hexDigit(byte >> 4, Self.upperHexDigits))
            append(Self.hexDigit(byte & 15, Self.upperHexDigits))
        }
    }

    private static func hexDigit(_ value: UInt8, _ digits: StaticString) -> UInt8 {
        unsafe digits.utf8Start[Int(value & 15)]
    }

    /// How long the UTF-8 sequence is that begins here (RFC 3629, 4); 0 where none does.
    private static func sequenceLength(_ text: Span<UInt8>, at index: Int) -> Int {
        let (length, low, high): (Int, UInt8, UInt8) =
            switch text[index] {
            case 0xc2...0xdf: (2, 0x80, 0xbf)
            case 0xe0: (3, 0xa0, 0xbf)
            case 0xed: (3, 0x80, 0x9f)
            case 0xe1...0xef: (3, 0x80, 0xbf)
            case 0xf0: (4, 0x90, 0xbf)
            case 0xf1...0xf3: (4, 0x80, 0xbf)
            case 0xf4: (4, 0x80, 0x8f)
            default: (0, 0, 0)
            }
        guard length > 0, index &+ length <= text.count else { return 0 }
        let second = text[index &+ 1]
        guard second >= low, second <= high else { return 0 }
        for place in (index &+ 2)..<(index &+ max(length, 2)) where text[place] & 0xc0 != 0x80 {
            return 0
        }
        return length
    }
}
