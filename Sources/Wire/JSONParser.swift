/// Reads one JSON text (RFC 8259) as strictly as a security check needs it: whole, nothing behind
/// it, no name twice in an object, strict UTF-8, no surrogate alone, numbers in JSON's own grammar.
/// How long a text may be is its caller's bound; what it costs grows with its length alone.
public struct JSONParser {
    /// Objects and arrays inside each other.
    public static let depthMax = 32

    public struct SyntaxError: Error, Hashable, Sendable, CustomStringConvertible {
        public enum Reason: String, Sendable {
            case empty = "no value"
            case unexpected = "a byte that has no place here"
            case truncated = "an end too early"
            case trailing = "bytes behind the value"
            case depth = "more than 32 levels"
            case duplicate = "a member's name twice"
            case number = "a number in no form of JSON"
            case escape = "an escape that JSON does not have"
            case surrogate = "half a surrogate pair"
            case control = "a control character in a string"
            case encoding = "bytes that are not UTF-8"
        }

        public let reason: Reason
        /// Where, in bytes.
        public let offset: Int

        public var description: String { "\(reason.rawValue) at byte \(offset)" }
    }

    private var position = 0
    private var depth = 0

    public static func parse(_ bytes: Span<UInt8>) throws(SyntaxError) -> JSONValue {
        var parser = JSONParser()
        parser.skipSpace(bytes)
        guard parser.position < bytes.count else { throw parser.error(.empty) }
        let value = try parser.value(bytes)
        parser.skipSpace(bytes)
        guard parser.position == bytes.count else { throw parser.error(.trailing) }
        return value
    }

    private mutating func value(_ bytes: Span<UInt8>) throws(SyntaxError) -> JSONValue {
        guard position < bytes.count else { throw error(.truncated) }
        switch bytes[position] {
        case UInt8(ascii: "{"):
            return try nested(bytes) { parser, bytes throws(SyntaxError) in
                .object(try parser.members(bytes))
            }
        case UInt8(ascii: "["):
            return try nested(bytes) { parser, bytes throws(SyntaxError) in
                .array(try parser.elements(bytes))
            }
        case UInt8(ascii: "\""): return .string(try string(bytes))
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try number(bytes)
        case UInt8(ascii: "n"): return try word("null", .null, bytes)
        case UInt8(ascii: "t"): return try word("true", .bool(true), bytes)
        case UInt8(ascii: "f"): return try word("false", .bool(false), bytes)
        default: throw error(.unexpected)
        }
    }

    /// What is between two brackets, the first of which is next.
    private mutating func nested(
        _ bytes: Span<UInt8>,
        _ read: (inout Self, Span<UInt8>) throws(SyntaxError) -> JSONValue
    ) throws(SyntaxError) -> JSONValue {
        guard depth < Self.depthMax else { throw error(.depth) }
        depth += 1
        position += 1
        let value = try read(&self, bytes)
        depth -= 1
        return value
    }

    private mutating func members(
        _ bytes: Span<UInt8>
    ) throws(SyntaxError) -> [JSONValue.Member] {
        var members: [JSONValue.Member] = []
        // Names that Unicode holds to be the same count as the same.
        var names: Set<String> = []
        skipSpace(bytes)
        if take(UInt8(ascii: "}"), bytes) { return members }
        repeat {
            skipSpace(bytes)
            let start = position
            guard position < bytes.count else { throw error(.truncated) }
            guard bytes[position] == UInt8(ascii: "\"") else { throw error(.unexpected) }
            let name = try string(bytes)
            guard names.insert(name).inserted else { throw error(.duplicate, at: start) }
            skipSpace(bytes)
            try expect(UInt8(ascii: ":"), bytes)
            skipSpace(bytes)
            members.append(JSONValue.Member(name: name, value: try value(bytes)))
            skipSpace(bytes)
        } while take(UInt8(ascii: ","), bytes)
        try expect(UInt8(ascii: "}"), bytes)
        return members
    }

    private mutating func elements(_ bytes: Span<UInt8>) throws(SyntaxError) -> [JSONValue] {
        var elements: [JSONValue] = []
        skipSpace(bytes)
        if take(UInt8(ascii: "]"), bytes) { return elements }
        repeat {
            skipSpace(bytes)
            elements.append(try value(bytes))
            skipSpace(bytes)
        } while take(UInt8(ascii: ","), bytes)
        try expect(UInt8(ascii: "]"), bytes)
        return elements
    }

    private mutating func word(
        _ word: StaticString, _ value: JSONValue, _ bytes: Span<UInt8>
    ) throws(SyntaxError) -> JSONValue {
        for expected in word.description.utf8 { try expect(expected, bytes) }
        return value
    }

    // MARK: Numbers

    private mutating func number(_ bytes: Span<UInt8>) throws(SyntaxError) -> JSONValue {
        let start = position
        let isNegative = take(UInt8(ascii: "-"), bytes)
        let digitsStart = position
        let digitCount = skipDigits(bytes)
        guard digitCount == 1 || digitCount > 1 && bytes[digitsStart] != UInt8(ascii: "0") else {
            throw error(.number, at: start)
        }
        var isWhole = true
        if take(UInt8(ascii: "."), bytes) {
            isWhole = false
            guard skipDigits(bytes) > 0 else { throw error(.number, at: start) }
        }
        if take(UInt8(ascii: "e"), bytes) || take(UInt8(ascii: "E"), bytes) {
            isWhole = false
            if !take(UInt8(ascii: "+"), bytes) { _ = take(UInt8(ascii: "-"), bytes) }
            guard skipDigits(bytes) > 0 else { throw error(.number, at: start) }
        }
        if isWhole, let magnitude = Decimal.parse(bytes.extracting(digitsStart..<position)) {
            return .integer(isNegative ? -magnitude : magnitude)
        }
        let text = bytes.extracting(start..<position)
        return .number(String(decoding: text.indices.map { text[$0] }, as: UTF8.self))
    }

    private mutating func skipDigits(_ bytes: Span<UInt8>) -> Int {
        let start = position
        while position < bytes.count, bytes[position] &- UInt8(ascii: "0") <= 9 { position += 1 }
        return position - start
    }

    // MARK: Strings

    private mutating func string(_ bytes: Span<UInt8>) throws(SyntaxError) -> String {
        let start = position
        position += 1
        var text: [UInt8] = []
        while true {
            guard position < bytes.count else { throw error(.truncated) }
            let byte = bytes[position]
            if byte == UInt8(ascii: "\"") { break }
            guard byte >= 0x20 else { throw error(.control) }
            if byte == UInt8(ascii: "\\") {
                try escape(bytes, into: &text)
            } else {
                text.append(byte)
                position += 1
            }
        }
        position += 1
        // An escape stands for whole characters, so that bytes around it stay as wrong as they are.
        guard let string = String(validating: text, as: UTF8.self) else {
            throw error(.encoding, at: start)
        }
        return string
    }

    private mutating func escape(
        _ bytes: Span<UInt8>, into text: inout [UInt8]
    ) throws(SyntaxError) {
        let start = position
        guard position + 1 < bytes.count else { throw error(.truncated) }
        let letter = bytes[position + 1]
        position += 2
        switch letter {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(letter)
        case UInt8(ascii: "b"): text.append(0x08)
        case UInt8(ascii: "f"): text.append(0x0c)
        case UInt8(ascii: "n"): text.append(0x0a)
        case UInt8(ascii: "r"): text.append(0x0d)
        case UInt8(ascii: "t"): text.append(0x09)
        case UInt8(ascii: "u"):
            let scalar = try scalar(bytes, from: start)
            for byte in String(Character(scalar)).utf8 { text.append(byte) }
        default: throw error(.escape, at: start)
        }
    }

    /// The character of `\uXXXX`, or of two of them that are a surrogate pair.
    private mutating func scalar(
        _ bytes: Span<UInt8>, from start: Int
    ) throws(SyntaxError) -> Unicode.Scalar {
        let first = try codeUnit(bytes, from: start)
        if let scalar = Unicode.Scalar(first) { return scalar }
        guard first < 0xdc00 else { throw error(.surrogate, at: start) }
        guard take(UInt8(ascii: "\\"), bytes), take(UInt8(ascii: "u"), bytes) else {
            throw error(.surrogate, at: start)
        }
        let second = try codeUnit(bytes, from: start)
        guard (0xdc00...0xdfff).contains(second),
            let scalar = Unicode.Scalar(0x10000 + (first - 0xd800) << 10 + (second - 0xdc00))
        else { throw error(.surrogate, at: start) }
        return scalar
    }

    private mutating func codeUnit(
        _ bytes: Span<UInt8>, from start: Int
    ) throws(SyntaxError) -> UInt32 {
        guard position + 4 <= bytes.count else { throw error(.truncated) }
        var unit: UInt32 = 0
        for index in position..<(position + 4) {
            guard let digit = hexadecimalDigit(bytes[index]) else {
                throw error(.escape, at: start)
            }
            unit = unit << 4 | UInt32(digit)
        }
        position += 4
        return unit
    }

    // MARK: Bytes

    private mutating func skipSpace(_ bytes: Span<UInt8>) {
        while position < bytes.count {
            switch bytes[position] {
            case 0x20, 0x09, 0x0a, 0x0d: position += 1
            default: return
            }
        }
    }

    private mutating func take(_ byte: UInt8, _ bytes: Span<UInt8>) -> Bool {
        guard position < bytes.count, bytes[position] == byte else { return false }
        position += 1
        return true
    }

    private mutating func expect(_ byte: UInt8, _ bytes: Span<UInt8>) throws(SyntaxError) {
        if take(byte, bytes) { return }
        throw error(position < bytes.count ? .unexpected : .truncated)
    }

    private func error(_ reason: SyntaxError.Reason, at offset: Int? = nil) -> SyntaxError {
        SyntaxError(reason: reason, offset: offset ?? position)
    }
}
