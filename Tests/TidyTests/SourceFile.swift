internal import Testing

/// A text file of the repository, and, if it is Swift, its tokens.
struct SourceFile {
    let path: String
    let lines: [String]
    let tokens: [Token]

    init(path: String, text: [UInt8]) {
        self.path = path
        lines = text.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
            .map { String(decoding: $0, as: UTF8.self) }
        tokens = path.hasSuffix(".swift") ? SwiftLexer.tokens(of: text) : []
    }

    init(path: String, _ text: String) { self.init(path: path, text: Array(text.utf8)) }

    /// Every Swift file that people wrote.
    static let swift = Result {
        try read(RepositoryTree.current.paths(endingWith: ".swift").filter { !isGenerated($0) })
    }

    /// Every file that is text.
    static let text = Result {
        try read(
            RepositoryTree.current.paths(
                endingWith: ".swift", ".md", ".py", ".yaml", ".yml", ".h", ".proto", ".sh", ".txt",
                ".json", ".modulemap")
                + RepositoryTree.current.paths(under: "scripts/", endingWith: "")
                + RepositoryTree.current.paths(under: ".ci/", endingWith: ""))
    }

    private static func isGenerated(_ path: String) -> Bool {
        path.hasSuffix(".pb.swift") || path.hasSuffix(".grpc.swift")
    }

    private static func read(_ paths: [String]) throws -> [SourceFile] {
        try paths.map { SourceFile(path: $0, text: try RepositoryTree.current.bytes(of: $0)) }
    }

    /// The target a file of `Sources/<Target>/` or `Tests/<Target>/` belongs to.
    var target: String {
        let parts = path.split(separator: "/")
        return parts.count > 2 ? String(parts[1]) : ""
    }

    var isTest: Bool { path.hasPrefix("Tests/") }

    /// True if `patterns` has this path, or a folder of it followed by `*`.
    func isListed(in patterns: [String]) -> Bool {
        patterns.contains { pattern in
            pattern.hasSuffix("*") ? path.hasPrefix(pattern.dropLast()) : path == pattern
        }
    }
}

/// A rule that a line breaks.
struct Finding: Equatable, CustomStringConvertible {
    let path: String
    let line: Int
    let message: String

    var description: String { "\(path):\(line): error: \(message)" }

    /// Reports each finding as an issue of the running test.
    static func report(_ findings: [Finding]) {
        for finding in findings { Issue.record("\(finding)") }
    }
}
