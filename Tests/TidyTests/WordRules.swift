/// What may not be written, and what to write instead.
enum WordRules {
    static func findings(in file: SourceFile) -> [Finding] {
        file.tokens.indices.flatMap { index in
            (callMessages(at: index, in: file) + nameMessages(at: index, in: file)).map {
                Finding(path: file.path, line: file.tokens[index].line, message: $0)
            }
        }
    }

    /// Words for what is not finished. Spelt in halves: this file is searched too.
    private static let unfinished = ["TO" + "DO", "FIX" + "ME", "X" + "XX"]

    /// Rules for any text file.
    static func textFindings(in file: SourceFile) -> [Finding] {
        let machinePath = "/" + "work" + "/"
        return file.lines.indices.flatMap { index -> [Finding] in
            let line = file.lines[index]
            var messages: [String] = []
            if line.utf8.contains(UInt8(ascii: "/")), line.contains(machinePath) {
                messages.append("\(machinePath) is banned, use a path relative to the repository")
            }
            let words = line.split { !($0.isLetter || $0.isNumber) }
            for word in unfinished where words.contains(Substring(word)) {
                messages.append("\(word) is banned, use an issue")
            }
            if file.isTest, file.path.hasSuffix(".py"), line.contains("time" + ".sleep(") {
                messages.append("sleep( is banned, use an event that the test waits for")
            }
            return messages.map { Finding(path: file.path, line: index + 1, message: $0) }
        }
    }

    private static func callMessages(at index: Int, in file: SourceFile) -> [String] {
        let tokens = file.tokens
        let text = tokens[index].text
        let next = index + 1 < tokens.count ? tokens[index + 1] : nil
        let isMember = index > 0 && tokens[index - 1].text == "."
        let isCall = next?.text == "("
        switch text {
        case "fatalError" where isCall && !isMember:
            return ["fatalError( is banned, use precondition for our own bugs, errors for the rest"]
        case "print" where isCall && !isMember && mustNotPrint(file):
            return ["print( is banned, use the log"]
        case "unowned" where next?.text == "(":
            return ["unowned(unsafe) is banned, use a reference"]
        case "sleep" where isCall && file.isTest, "usleep" where isCall && file.isTest,
            "nanosleep" where isCall && file.isTest:
            return ["\(text)( is banned, use a simulated clock or an event"]
        case "!":
            return unwrapMessages(at: index, in: tokens)
        default:
            return []
        }
    }

    private static func mustNotPrint(_ file: SourceFile) -> Bool {
        file.path.hasPrefix("Sources/") && file.target != "weir"
    }

    private static func unwrapMessages(at index: Int, in tokens: [Token]) -> [String] {
        guard index > 0, tokens[index].touchesPrevious else { return [] }
        if index + 1 < tokens.count, tokens[index + 1].text == "=",
            tokens[index + 1].touchesPrevious
        {
            return []
        }
        let previous = tokens[index - 1]
        switch previous.text {
        case "try": return ["try! is banned, use do and catch, or #require in a test"]
        case "as": return ["as! is banned, use as?"]
        case ")", "]", "}", ">", "\"", "?":
            return ["! is banned, use guard let, or #require in a test"]
        default:
            return previous.isWord ? ["! is banned, use guard let, or #require in a test"] : []
        }
    }

    private static let bannedInTypeNames: Set = [
        "Manager", "Helper", "Helpers", "Util", "Utils", "Impl", "Base",
    ]

    private static func nameMessages(at index: Int, in file: SourceFile) -> [String] {
        let declarations: Set = ["class", "struct", "enum", "protocol", "actor", "typealias"]
        guard index > 0, declarations.contains(file.tokens[index - 1].text) else { return [] }
        let name = file.tokens[index].text
        return words(ofTypeName: name).filter(bannedInTypeNames.contains).map {
            "\($0) in \(name) is banned, use a noun that says what it is"
        }
    }

    /// `HTTP2BaseSession` is HTTP2, Base and Session; Base64 is one word.
    static func words(ofTypeName name: String) -> [String] {
        var words: [String] = []
        var previousIsUpper = false
        for character in name {
            if words.isEmpty || character.isUppercase && !previousIsUpper {
                words.append("")
            } else if character.isLowercase, previousIsUpper, var word = words.popLast() {
                // The last capital of a run begins the next word.
                let capital = word.removeLast()
                if !word.isEmpty { words.append(word) }
                words.append(String(capital))
            }
            words[words.count - 1].append(character)
            previousIsUpper = character.isUppercase
        }
        return words
    }
}
