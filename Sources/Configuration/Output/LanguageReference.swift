/// The language's tables as Markdown; docs/configuration.md has them word for word.
public enum LanguageReference {
    /// Tables by name, in the order of the reference.
    public static var tables: [(name: String, text: String)] {
        LanguageSchema.tables.map { ($0.name, table($0)) }
    }

    private static func table(_ table: ObjectTerms) -> String {
        var lines = ["| key | value | default | meaning |", "| --- | --- | --- | --- |"]
        for term in table.terms {
            let value = term.isSupported ? term.shape.markdown : "not yet supported: an error"
            let fallback = term.isRequired ? "required" : term.byDefault ?? ""
            let cells = ["`\(term.key)`", value, fallback, term.doc + "."]
            lines.append(
                "| " + cells.map { $0.replacing("|", with: "\\|") }.joined(separator: " | ") + " |")
        }
        return lines.joined(separator: "\n") + "\n"
    }
}

extension Shape {
    /// For tables of the reference.
    fileprivate var markdown: String {
        switch self {
        case .object(let table): "[\(table.name)](#\(table.anchor))"
        case .list(let item, _): "list: " + item.markdown
        case .map(let key, let value): "mapping from \(key) to " + value.markdown
        case .either(let shapes): shapes.map(\.markdown).joined(separator: ", or ")
        case .duration(let offAllowed): offAllowed ? "duration, or `off`" : "duration"
        case .size(let range): "size, \(Self.words(of: range))"
        case .percent:
            "share, \(Percent.describe(Percent.range.lowerBound)) to "
                + Percent.describe(Percent.range.upperBound)
        default: words
        }
    }

    /// For messages.
    var words: String {
        switch self {
        case .text(let words, _): words
        case .choice(let choices): choices.map { "`\($0)`" }.joined(separator: " or ")
        case .boolean: "`true` or `false`"
        case .count(let range): "\(range.lowerBound) to \(range.upperBound)"
        case .duration(let offAllowed): Duration.words + (offAllowed ? ", or off" : "")
        case .size(let range): "a size, \(Self.words(of: range))"
        case .percent: Percent.words
        case .list(let item, _): "a list, each " + item.words
        case .object(let table): table.name.withArticle
        case .map(let key, let value): "a mapping from \(key) to " + value.words
        case .either(let shapes): shapes.map(\.words).joined(separator: ", or ")
        case .unsupported: "nothing"
        }
    }

    private static func words(of range: ClosedRange<Int64>) -> String {
        "\(Size.describe(range.lowerBound)) to \(Size.describe(range.upperBound))"
    }
}

extension ObjectTerms {
    /// Of its heading in the reference.
    var anchor: String { String(name.map { $0 == " " ? "-" : $0 }) }
}
