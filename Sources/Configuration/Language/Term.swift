/// What a value may be. Parsing, the JSON schema and the reference all read it from here.
indirect enum Shape: Sendable {
    /// Text that is not empty and matches a regular expression (in JSON Schema's dialect); `words`
    /// describes it.
    case text(_ words: String, pattern: String)
    case choice([String])
    case boolean
    case count(ClosedRange<Int>)
    /// `250ms 2s 5m 1h`; `off` where a table says so.
    case duration(offAllowed: Bool)
    /// `10%`, `0.25%`; from 0.01% to 100%.
    case percent
    /// `64KiB`; in bytes.
    case size(ClosedRange<Int64>)
    /// With so many items at least.
    case list(Shape, min: Int = 1)
    case object(ObjectTerms)
    /// Any keys, of which `words` says what they are, with values of one shape.
    case map(_ words: String, Shape)
    case either([Shape])
    /// Known words of the language that this version refuses.
    case unsupported
}

/// One key of an object.
struct Term: Sendable {
    let key: String
    let shape: Shape
    /// A sentence without a full stop.
    let doc: String
    var isRequired = false
    /// As it would be written.
    var byDefault: String?

    init(
        _ key: String, _ shape: Shape, _ doc: String, required: Bool = false,
        byDefault: String? = nil
    ) {
        self.key = key
        self.shape = shape
        self.doc = doc
        isRequired = required
        self.byDefault = byDefault
    }

    var isSupported: Bool { if case .unsupported = shape { false } else { true } }
}

/// The keys of one kind of object.
final class ObjectTerms: Sendable {
    /// In the reference and the schema.
    let name: String
    let terms: [Term]
    /// Exactly one key of each group must be given.
    let oneOf: [String]
    let keys: [[UInt8]]

    init(_ name: String, _ terms: [Term], oneOf: [String] = []) {
        self.name = name
        self.terms = terms
        self.oneOf = oneOf
        keys = terms.map { Array($0.key.utf8) }
    }

    var supportedKeys: [String] { terms.filter(\.isSupported).map(\.key) }
}

/// The keys of an object as an enumeration, in the order of its table.
protocol LanguageKey: CaseIterable, RawRepresentable<Int>, Sendable {
    /// The table, made once from every case's `term`.
    static var table: ObjectTerms { get }
    var term: Term { get }
}

extension LanguageKey {
    static func makeTable(_ name: String, oneOf: [String] = []) -> ObjectTerms {
        ObjectTerms(name, allCases.map(\.term), oneOf: oneOf)
    }
}
