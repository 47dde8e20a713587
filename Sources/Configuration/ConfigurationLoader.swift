internal import Rules

/// Makes a `Snapshot` from YAML, or says everything that is wrong with it.
public enum ConfigurationLoader {
    /// Files of a directory, and bytes of all files together.
    public static let filesMax = 1_000
    public static let bytesMax = 256 << 20

    /// Reads a file, or a directory's `*.yaml` sorted by name.
    ///
    /// - materials: what was kept of files that earlier loads named.
    public static func load(
        path: String, environment: [String: String], materials: Materials = Materials()
    ) -> LoadResult {
        var files = [path]
        var sources: [Source] = []
        switch FileReader.entry(path) {
        case .failure(let error):
            return .unreadable(path, error.message, files: files)
        case .success(.file):
            break
        case .success(.directory):
            switch FileReader.yamlFiles(in: path) {
            case .failure(let error):
                return .unreadable(path, error.message, files: files)
            case .success(let names) where names.count > filesMax:
                let message = "the directory has \(names.count) files"
                return .refused(
                    Diagnostic(
                        .tooMany, Diagnostic.Place(file: path), message,
                        expected: "at most \(filesMax)"), files: files)
            case .success(let names):
                let directory = path.hasSuffix("/") ? path : path + "/"
                files += names.map { directory + $0 }
            }
        }
        var bytes = 0
        for file in files.count == 1 ? files[...] : files.dropFirst() {
            switch FileReader.read(file, limit: YAMLReader.bytesMax) {
            case .failure(let error):
                return .unreadable(file, error.message, files: files)
            case .success(let read):
                bytes += read.count
                guard bytes <= bytesMax else {
                    return .refused(
                        Diagnostic(
                            .tooLarge, Diagnostic.Place(file: file),
                            "the files together have more than 256 MiB", expected: "less"),
                        files: files)
                }
                sources.append(Source(name: file, bytes: read))
            }
        }
        return load(sources, environment, materials, files: files)
    }

    /// The same from memory; a source's name stands for its path.
    public static func load(
        sources: [Source], environment: [String: String], materials: Materials = Materials()
    ) -> LoadResult {
        load(sources, environment, materials, files: sources.map(\.name))
    }

    private static func load(
        _ sources: consuming [Source], _ environment: [String: String], _ materials: Materials,
        files: [String]
    ) -> LoadResult {
        var tree = Tree()
        let bytes = sources.reduce(0) { $0 + $1.bytes.count }
        tree.reserve(for: bytes)
        let kept = bytes <= Outline.bytesMax ? sources : []
        var digest = Digest()
        var faults: [Diagnostic] = []
        for source in sources {
            digest.add(source.bytes)
            if let fault = YAMLReader.read(source.bytes, named: source.name, into: &tree) {
                let place = Diagnostic.Place(
                    file: source.name, line: fault.line, column: fault.column)
                faults.append(
                    Diagnostic(fault.code, place, fault.message, expected: fault.expected))
            }
        }
        guard faults.isEmpty else { return LoadResult(.failure(faults), files: files) }
        sources = []
        var expansion = Expansion(environment: environment, digest: digest)
        expansion.expand(&tree)
        let checker = Checker(tree)
        for diagnostic in expansion.diagnostics { checker.report(diagnostic.code, diagnostic) }
        let builder = SnapshotBuilder(checker, materials, expansion.digest)
        let snapshot = builder.build()
        let files = files + builder.watchedFiles
        let diagnostics = checker.sortedDiagnostics
        guard let snapshot, !checker.hasErrors else {
            return LoadResult(.failure(diagnostics), files: files, omitted: checker.omitted)
        }
        var result = LoadResult(.success(snapshot, warnings: diagnostics), files: files)
        result.watchesFiles = builder.watchesFiles
        result.sources = kept
        return result
    }
}

/// A file's name and what is in it.
public struct Source: Sendable {
    public let name: String
    public let bytes: [UInt8]

    public init(name: String, bytes: [UInt8]) {
        self.name = name
        self.bytes = bytes
    }

    public init(name: String, text: String) { self.init(name: name, bytes: Array(text.utf8)) }
}

/// What came of loading.
public struct LoadResult: Sendable {
    public enum Outcome: Sendable {
        case success(Snapshot, warnings: [Diagnostic])
        /// At least one error; warnings too.
        case failure([Diagnostic])
    }

    public let outcome: Outcome
    /// What was read, a directory first: the paths to watch. Known even if loading failed.
    public let files: [String]
    /// False where the configuration says `watch: off`: only SIGHUP loads it again.
    public internal(set) var watchesFiles = true
    /// What was read, for an `Outline`; nothing where that is too much.
    public internal(set) var sources: [Source] = []
    /// Diagnostics beyond the first thousand.
    public let omitted: Int

    init(_ outcome: Outcome, files: [String], omitted: Int = 0) {
        self.outcome = outcome
        self.files = files
        self.omitted = omitted
    }

    public var snapshot: Snapshot? {
        if case .success(let snapshot, _) = outcome { snapshot } else { nil }
    }

    /// Errors and warnings in the order of files and lines.
    public var diagnostics: [Diagnostic] {
        switch outcome {
        case .success(_, let warnings): warnings
        case .failure(let diagnostics): diagnostics
        }
    }

    /// A file could not be read: nothing is known about the configuration, neither good nor bad.
    public var isUnreadable: Bool { diagnostics.contains { $0.code == .unreadable } }

    fileprivate static func unreadable(
        _ path: String, _ message: String, files: [String]
    ) -> LoadResult {
        let diagnostic = Diagnostic(
            .unreadable, Diagnostic.Place(file: path), "cannot be read: \(message)",
            expected: "a file or a directory of *.yaml files")
        return .refused(diagnostic, files: files)
    }

    fileprivate static func refused(_ diagnostic: Diagnostic, files: [String]) -> LoadResult {
        LoadResult(.failure([diagnostic]), files: files)
    }
}
