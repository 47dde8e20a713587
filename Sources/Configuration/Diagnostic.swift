/// One thing that is wrong with a configuration, or worth a warning, and where.
public struct Diagnostic: Sendable, Equatable {
    public enum Severity: String, Sendable { case error, warning }

    public let severity: Severity
    public let code: DiagnosticCode
    /// The file as it was named when loading began.
    public let file: String
    /// From 1; 0 where the whole file is meant.
    public let line: Int
    /// In characters, from 1; 0 where the whole file is meant.
    public let column: Int
    /// What is wrong, without a full stop.
    public let message: String
    /// What would have been right.
    public let expected: String?
    /// A name that was probably meant.
    public let suggestion: String?

    public init(
        _ code: DiagnosticCode, _ place: Place, _ message: String, expected: String? = nil,
        suggestion: String? = nil
    ) {
        severity = code.severity
        self.code = code
        file = place.file
        line = place.line
        column = place.column
        self.message = message
        self.expected = expected
        self.suggestion = suggestion
    }

    /// A file and a position in it.
    public struct Place: Sendable, Equatable, CustomStringConvertible {
        public let file: String
        public let line: Int
        public let column: Int

        public init(file: String, line: Int = 0, column: Int = 0) {
            self.file = file
            self.line = line
            self.column = column
        }

        public var description: String { line == 0 ? file : "\(file):\(line):\(column)" }
    }

    public var place: Place { Place(file: file, line: line, column: column) }
}

extension Diagnostic: CustomStringConvertible {
    /// `file:line:column: error[code]: what is wrong; expected ...; did you mean 'x'?`
    public var description: String {
        var text = "\(place): \(severity.rawValue)[\(code.rawValue)]: \(message)"
        if let expected { text += "; expected \(expected)" }
        if let suggestion { text += "; did you mean '\(suggestion)'?" }
        return text
    }
}

/// The kinds of diagnostics; docs/errors.md has a section for each.
public enum DiagnosticCode: String, Sendable, CaseIterable {
    // Reading
    case unreadable
    case tooLarge = "too-large"
    case syntax
    case tooDeep = "too-deep"
    case yamlFeature = "yaml-feature"
    case badVariable = "bad-variable"
    case unsetVariable = "unset-variable"
    // Keys and values
    case unknownKey = "unknown-key"
    case duplicateKey = "duplicate-key"
    case missingKey = "missing-key"
    case wrongType = "wrong-type"
    case badValue = "bad-value"
    case outOfRange = "out-of-range"
    case tooMany = "too-many"
    case unsupported
    // What the parts say together
    case duplicateName = "duplicate-name"
    case duplicateEntry = "duplicate-entry"
    case unknownReference = "unknown-reference"
    case conflict
    case cleartext
    case reservedHeader = "reserved-header"
    case badRegex = "bad-regex"
    case neverMatches = "never-matches"
    case identicalMatches = "identical-matches"
    case badRewrite = "bad-rewrite"
    case nothingReceives = "nothing-receives"
    case badFile = "bad-file"
    // Warnings
    case unused
    case keepalive
    case keptFile = "kept-file"
    case expired
    case widerRule = "wider-rule"
    case exposedTokens = "exposed-tokens"

    public var severity: Diagnostic.Severity {
        switch self {
        case .unused, .keepalive, .keptFile, .expired, .widerRule, .exposedTokens: .warning
        default: .error
        }
    }
}

extension [Diagnostic] {
    /// Printed lines: at most 100, then a count of the others.
    public func lines(omitted: Int = 0) -> [String] {
        let shown = prefix(100)
        let more = count - shown.count + omitted
        return shown.map(\.description) + (more > 0 ? ["and \(more) more"] : [])
    }
}
