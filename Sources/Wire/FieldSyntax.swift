/// What the name and the value of a field may be made of (RFC 9113, 8.2.1; RFC 9110, 5.1 and 5.5).
public enum FieldSyntax {
    /// A token in lower case.
    public static func isName(_ name: Span<UInt8>) -> Bool { isToken(name, of: .fieldName) }

    /// A token; methods are (RFC 9110, 9.1), and nearly all are one of two.
    static func isMethod(_ method: Span<UInt8>) -> Bool {
        if method.count == 4, method.shortWord() == 0x504f_5354 { return true }
        if method.count == 3, method.shortWord() == 0x47_4554 { return true }
        return isToken(method, of: .token)
    }

    /// A letter, then letters, digits, `+`, `-` and `.` (RFC 3986, 3.1).
    static func isScheme(_ scheme: Span<UInt8>) -> Bool {
        isToken(scheme, of: .scheme) && ByteSet.letters.contains(scheme[0])
    }

    /// Visible characters, bytes of 0x80 and above, and between them spaces and tabs. Eight bytes
    /// are looked at at a time; only where one might be wrong, each by itself.
    public static func isValue(_ value: Span<UInt8>) -> Bool {
        let count = value.count
        guard count > 0 else { return true }
        guard value[0] > 0x20, value[count &- 1] > 0x20 else { return false }
        if count < 8 {
            let padding = 0x2020_2020_2020_2020 &<< UInt64(truncatingIfNeeded: 8 &* count)
            return !mayBeWrong(value.shortWord() | padding) || isValueByBytes(value)
        }
        var start = 0
        while start &+ 8 <= count {
            if mayBeWrong(value.word(at: start)) { return isValueByBytes(value) }
            start &+= 8
        }
        return !mayBeWrong(value.word(at: count &- 8)) || isValueByBytes(value)
    }

    /// Whether a byte is below 0x20 or is 0x7f. What is below borrows from its highest bit; the
    /// byte above it may then look wrong, too, and is not.
    @inline(__always)
    private static func mayBeWrong(_ word: UInt64) -> Bool {
        let low = (word &- 0x2020_2020_2020_2020) & ~word
        let other = word ^ 0x7f7f_7f7f_7f7f_7f7f
        let deleted = (other &- 0x0101_0101_0101_0101) & ~other
        return (low | deleted) & 0x8080_8080_8080_8080 != 0
    }

    private static func isValueByBytes(_ value: Span<UInt8>) -> Bool {
        for index in value.indices {
            let byte = value[index]
            if byte < 0x20 && byte != 0x09 || byte == 0x7f { return false }
        }
        return true
    }

    private static func isToken(_ text: Span<UInt8>, of set: ByteSet) -> Bool {
        for index in text.indices where !set.contains(text[index]) { return false }
        return !text.isEmpty
    }
}
