public import Rules

/// A file with an upstream's endpoints: a list, as the configuration itself would have it.
public enum EndpointFile {
    public static let bytesMax = 4 << 20

    public struct Failure: Error, CustomStringConvertible {
        /// What is wrong, first thing first.
        public let words: String

        public var description: String { words }
    }

    /// What the file says; an empty list is written `[]`. A file that is empty, as one is that is
    /// being written, says nothing.
    public static func read(_ path: String) -> Result<[EndpointTerms], Failure> {
        switch FileReader.read(path, limit: bytesMax) {
        case .failure(let error): return .failure(Failure(words: error.message))
        case .success(let bytes) where bytes.count > bytesMax:
            return .failure(Failure(words: "more than 4 MiB"))
        case .success(let bytes): return parse(bytes, named: path)
        }
    }

    /// - name: the path that unix sockets are relative to.
    public static func parse(
        _ bytes: [UInt8], named name: String
    ) -> Result<[EndpointTerms], Failure> {
        var tree = Tree()
        if let fault = YAMLReader.read(bytes, named: name, into: &tree) {
            return .failure(Failure(words: "line \(fault.line): \(fault.message)"))
        }
        guard let file = tree.files.first, !file.isEmpty else {
            return .failure(Failure(words: "the file is empty; no endpoints are written []"))
        }
        let checker = Checker(tree)
        let builder = SnapshotBuilder(checker, Materials(), Digest())
        let endpoints = builder.readEndpointList(file.root, min: 0)
        guard let first = checker.sortedDiagnostics.first else { return .success(endpoints) }
        let more = checker.diagnostics.count - 1
        let words = "line \(first.line): \(first.message)" + (more > 0 ? " and \(more) more" : "")
        return .failure(Failure(words: words))
    }
}
