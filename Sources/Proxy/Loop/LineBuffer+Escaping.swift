internal import Wire

/// Texts from outside, written so that any bytes give a valid line.
extension LineBuffer {
    private static var hexDigits: StaticString { "0123456789abcdef" }
    private static var upperHexDigits: StaticString { "0123456789ABCDEF" }

    /// As a JSON string (RFC 8259, 7). UTF-8 stays as it is; a byte that is none becomes `%XX`.
    func appendQuoted(_ text: Span<UInt8>) {
        append(UInt8(ascii: "\""))
        let plain = plainPrefix(of: text)
        append(text.extracting(0..<plain))
        if plain < text.count { appendEscaping(text.extracting(plain..<text.count)) }
        append(UInt8(ascii: "\""))
    }

    private func appendEscaping(_ text: Span<UInt8>) {
        var plain = 0
        var index = 0
        while index < text.count {
            let byte = text[index]
            let length = byte < 0x80 ? 0 : Self.sequenceLength(text, at: index)
            if Self.isPlain(byte) || length > 0 {
                index &+= max(length, 1)
                continue
            }
            append(text.extracting(plain..<index))
            appendEscape(byte)
            index &+= 1
            plain = index
        }
        append(text.extracting(plain..<text.count))
    }

    private static func isPlain(_ byte: UInt8) -> Bool {
        byte >= 0x20 && byte < 0x7f && byte != UInt8(ascii: "\"") && byte != UInt8(ascii: "\\")
    }

    /// How many bytes from the beginning need no escape, most often all: eight at a time, the last
    /// eight once more.
    private func plainPrefix(of text: Span<UInt8>) -> Int {
        var index = 0
        if text.count >= 8 {
            while index &+ 8 <= text.count, Self.isPlain(text.word(at: index)) { index &+= 8 }
            if index &+ 8 > text.count, Self.isPlain(text.word(at: text.count &- 8)) {
                return text.count
            }
        }
        while index < text.count, Self.isPlain(text[index]) { index &+= 1 }
        return index
    }

    /// True if no byte of eight needs an escape: in one that does the highest bit gets set. (A
    /// borrow or carry can set it in others besides, never clear it.)
    @inline(always)
    private static func isPlain(_ word: UInt64) -> Bool {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let quote = (word ^ ones &* 0x22) &- ones
        let backslash = (word ^ ones &* 0x5c) &- ones
        let control = word &- ones &* 0x20
        let delete = word &+ ones
        let found = control | delete | word | quote | backslash
        return found & 0x8080_8080_8080_8080 == 0
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
