/// How long things may be.
enum SizeRules {
    static let columns = 100
    static let functionLines = 70
    static let fileLines = 600
    static let parameters = 5

    static func findings(in file: SourceFile) -> [Finding] {
        var found = longLines(in: file)
        let count = file.lines.last == "" ? file.lines.count - 1 : file.lines.count
        if count > fileLines {
            found.append(
                Finding(
                    path: file.path, line: fileLines + 1,
                    message: "\(count) lines are banned, use files of at most \(fileLines)"))
        }
        for function in Function.all(in: file.tokens) {
            if function.lines > functionLines {
                found.append(
                    Finding(
                        path: file.path, line: function.line,
                        message: "\(function.name) has \(function.lines) lines and that is banned, "
                            + "use functions of at most \(functionLines)"))
            }
            if function.parameters > parameters {
                found.append(
                    Finding(
                        path: file.path, line: function.line,
                        message: "\(function.name) takes \(function.parameters) parameters and "
                            + "that is banned, use at most \(parameters): make them one value"))
            }
        }
        return found
    }

    private static func longLines(in file: SourceFile) -> [Finding] {
        file.lines.indices.filter { file.lines[$0].count > columns }.map { index in
            Finding(
                path: file.path, line: index + 1,
                message: "\(file.lines[index].count) columns are banned, use at most \(columns)")
        }
    }
}

/// A function, initialiser or subscript as its tokens show it.
struct Function: Equatable {
    let name: String
    let line: Int
    let parameters: Int
    /// From its first word to its closing brace; 1 if it has no body.
    let lines: Int

    static func all(in tokens: [Token]) -> [Function] {
        tokens.indices.compactMap { index in
            let word = tokens[index].text
            guard ["func", "init", "subscript"].contains(word) else { return nil }
            // `.init(` and `self.init(` are calls.
            if index > 0, tokens[index - 1].text == "." { return nil }
            return Function(startingAt: index, of: tokens)
        }
    }

    private init?(startingAt start: Int, of tokens: [Token]) {
        let isFunction = tokens[start].text == "func"
        guard let open = tokens[start...].firstIndex(where: { $0.text == "(" }) else { return nil }
        guard let close = Self.closing(open, of: tokens) else { return nil }
        name = isFunction ? tokens[start + 1].text : tokens[start].text
        line = tokens[start].line
        parameters = Self.parameters(tokens[(open + 1)..<close])
        lines = Self.lastLine(after: close, of: tokens) - line + 1
    }

    /// The position of the bracket that closes the one at `open`.
    private static func closing(_ open: Int, of tokens: [Token]) -> Int? {
        var depth = 0
        for index in open..<tokens.count {
            switch tokens[index].text {
            case "(", "[", "{": depth += 1
            case ")", "]", "}": depth -= 1
            default: break
            }
            if depth == 0 { return index }
        }
        return nil
    }

    private static func parameters(_ tokens: ArraySlice<Token>) -> Int {
        var depth = 0
        var count = tokens.isEmpty ? 0 : 1
        for index in tokens.indices {
            let token = tokens[index]
            switch token.text {
            case "(", "[", "{": depth += 1
            case ")", "]", "}": depth -= 1
            case "<" where token.touchesPrevious: depth += 1
            case ">" where tokens[index - 1].text != "-": depth -= 1
            // A trailing comma has nothing after it.
            case "," where depth == 0 && index + 1 < tokens.endIndex: count += 1
            default: break
            }
        }
        return count
    }

    /// The line of the brace that ends the body, or of the parenthesis if there is no body.
    private static func lastLine(after close: Int, of tokens: [Token]) -> Int {
        let declarations: Set = [
            "func", "init", "var", "let", "case", "subscript", "associatedtype", "}", "@",
            "static", "mutating", "public", "private",
        ]
        for index in (close + 1)..<max(close + 1, tokens.count) {
            let text = tokens[index].text
            if text == "{" {
                return tokens[closing(index, of: tokens) ?? tokens.count - 1].line
            }
            if declarations.contains(text), tokens[index].line > tokens[close].line { break }
        }
        return tokens[close].line
    }
}
