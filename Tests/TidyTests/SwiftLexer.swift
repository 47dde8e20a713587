/// A word, a number, one character of punctuation, or a whole string literal (as `"`).
struct Token: Equatable {
    let text: String
    /// Counted from 1.
    let line: Int
    /// True if nothing, not even a space, stands between this token and the one before it.
    let touchesPrevious: Bool

    var isWord: Bool {
        guard let first = text.utf8.first else { return false }
        return SwiftLexer.isWordByte(first)
    }
}

/// Cuts Swift source into tokens: comments are dropped, and of strings only the expressions within
/// `\(…)` are looked into. Knows nothing of regular expressions between bare slashes.
struct SwiftLexer {
    private let bytes: [UInt8]
    private var position = 0
    private var line = 1
    private var endOfLastToken = -1
    private(set) var tokens: [Token] = []

    static func tokens(of bytes: [UInt8]) -> [Token] {
        var lexer = SwiftLexer(bytes: bytes)
        lexer.scanCode(untilParenthesis: false)
        return lexer.tokens
    }

    static func isWordByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), 0x80...:
            true
        default: false
        }
    }

    private init(bytes: [UInt8]) { self.bytes = bytes }

    /// Reads to the end, or past the parenthesis that ends an interpolation.
    private mutating func scanCode(untilParenthesis: Bool) {
        var depth = 1
        while position < bytes.count {
            let byte = bytes[position]
            if byte == UInt8(ascii: "\n") || byte == UInt8(ascii: " ") {
                advance()
            } else if starts(with: "//") {
                while position < bytes.count, bytes[position] != UInt8(ascii: "\n") { advance() }
            } else if starts(with: "/*") {
                skipBlockComment()
            } else if let hashes = hashesBeforeQuote() {
                scanString(hashes: hashes)
            } else if Self.isWordByte(byte) {
                let start = position
                while position < bytes.count, Self.isWordByte(bytes[position]) { advance() }
                append(String(decoding: bytes[start..<position], as: UTF8.self), from: start)
            } else {
                advance()
                append(String(decoding: [byte], as: UTF8.self), from: position - 1)
                if byte == UInt8(ascii: "(") { depth += 1 }
                if byte == UInt8(ascii: ")") { depth -= 1 }
                if untilParenthesis, depth == 0 { return }
            }
        }
    }

    private mutating func skipBlockComment() {
        var depth = 0
        repeat {
            if starts(with: "/*") {
                depth += 1
                advance(2)
            } else if starts(with: "*/") {
                depth -= 1
                advance(2)
            } else {
                advance()
            }
        } while depth > 0 && position < bytes.count
    }

    /// The number of `#` before a quotation mark, if a string starts here.
    private func hashesBeforeQuote() -> Int? {
        var end = position
        while end < bytes.count, bytes[end] == UInt8(ascii: "#") { end += 1 }
        guard end < bytes.count, bytes[end] == UInt8(ascii: "\"") else { return nil }
        return end - position
    }

    private mutating func scanString(hashes: Int) {
        let start = position
        let startLine = line
        let pounds = String(repeating: "#", count: hashes)
        advance(hashes)
        let quote = starts(with: "\"\"\"") ? "\"\"\"" : "\""
        advance(quote.utf8.count)
        let touches = start == endOfLastToken
        tokens.append(Token(text: "\"", line: startLine, touchesPrevious: touches))
        while position < bytes.count, !starts(with: quote + pounds) {
            if starts(with: "\\" + pounds + "(") {
                advance(hashes + 2)
                scanCode(untilParenthesis: true)
            } else if starts(with: "\\" + pounds) {
                advance(hashes + 2)
            } else {
                advance()
            }
        }
        advance(quote.utf8.count + hashes)
        endOfLastToken = position
    }

    private mutating func append(_ text: String, from start: Int) {
        tokens.append(Token(text: text, line: line, touchesPrevious: start == endOfLastToken))
        endOfLastToken = position
    }

    private mutating func advance(_ count: Int = 1) {
        for _ in 0..<count where position < bytes.count {
            if bytes[position] == UInt8(ascii: "\n") { line += 1 }
            position += 1
        }
    }

    private func starts(with text: String) -> Bool {
        var index = position
        for byte in text.utf8 {
            guard index < bytes.count, bytes[index] == byte else { return false }
            index += 1
        }
        return true
    }
}
