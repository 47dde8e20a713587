/// Where unsafe code, C libraries and libc may be used. A line here is a decision, not a habit.
enum BoundaryFiles {
    static let all = [
        "Sources/Configuration/Text/FileReader.swift",
        "Sources/Configuration/Text/YAMLReader.swift",
        "Sources/Control/Linux*",
        "Sources/Identity/OpenSSL/*",
        "Sources/Peers/*",
        "Sources/Proxy/HTTP2/*",
        "Sources/Proxy/Loop/*",
        "Sources/Proxy/TLS/*",
        "Sources/Rules/RegularExpression.swift",
        "Sources/Wire/Span+Word.swift",
        "Sources/weir/Linux*",
        "Tests/ControlTests/Linux*",
        "Tests/ProxyTests/HTTP2/LibraryMessagingTests.swift",
        "Tests/ProxyTests/Loop/*",
        "Tests/Fuzz/Sources/fuzz/Entry.swift",
        "Tests/Simulation/Exit.swift",
        "Tests/TestKit/SeededRandom.swift",
        "Tests/TestKit/Seeds.swift",
        "Tests/TestKit/SimulatedSystem.swift",
        "Tests/TestKit/Trace.swift",
        "Tests/TidyTests/RepositoryTree.swift",
    ]

    /// How often each file turns one of the compiler's checks off. A number may only fall.
    ///
    /// `@exclusivity(unchecked)`: fields of objects that one worker's thread alone touches, read
    /// for every frame. `nonisolated(unsafe)`: compiled patterns, which PCRE2 never writes, and
    /// stores of certificates and keys, which OpenSSL locks.
    /// `@unchecked Sendable`: a simulated world, which one thread runs, and
    /// an SSL_CTX, which OpenSSL locks and counts by itself.
    static let uncheckedCounts: [String: [Unchecked: Int]] = [
        "Sources/Identity/OpenSSL/CertificateStore.swift": [.nonisolated: 1],
        "Sources/Identity/OpenSSL/SignatureKey.swift": [.nonisolated: 1],
        "Sources/Identity/OpenSSL/SigningKey.swift": [.nonisolated: 1],
        "Sources/Proxy/Connection/Connection.swift": [.exclusivity: 2],
        "Sources/Proxy/Connection/DownstreamConnection.swift": [.exclusivity: 1],
        "Sources/Proxy/Connection/Generation.swift": [.exclusivity: 2],
        "Sources/Proxy/Exchange/Exchange.swift": [.exclusivity: 8],
        "Sources/Proxy/HTTP2/ClientSession.swift": [.exclusivity: 2],
        "Sources/Proxy/HTTP2/HTTP2Session.swift": [.exclusivity: 7],
        "Sources/Proxy/HTTP2/ServerSession.swift": [.exclusivity: 2],
        "Sources/Proxy/Listener/Listener.swift": [.exclusivity: 2],
        "Sources/Proxy/Loop/BucketTable.swift": [.sendable: 1],
        "Sources/Proxy/Loop/CounterBlock.swift": [.sendable: 1],
        "Sources/Proxy/Loop/LineBuffer.swift": [.exclusivity: 2],
        "Sources/Proxy/Loop/RecordRing.swift": [.exclusivity: 4, .sendable: 1],
        "Sources/Proxy/Loop/Workspace.swift": [.exclusivity: 5],
        "Sources/Proxy/TLS/TLSContext.swift": [.sendable: 1],
        "Sources/Proxy/TLS/TLSSession.swift": [.nonisolated: 1],
        "Sources/Proxy/Telemetry/AccessLogFormatter.swift": [.exclusivity: 5],
        "Sources/Proxy/Telemetry/Series.swift": [.exclusivity: 1],
        "Sources/Proxy/Upstream/Attempt.swift": [.exclusivity: 9],
        "Sources/Proxy/Upstream/Endpoint.swift": [.exclusivity: 1],
        "Sources/Proxy/Upstream/UpstreamConnection.swift": [.exclusivity: 2],
        "Sources/Proxy/Upstream/UpstreamPool.swift": [.exclusivity: 5],
        "Sources/Rules/RegularExpression.swift": [.nonisolated: 2],
    ]

    enum Unchecked: String, CaseIterable {
        case sendable = "@unchecked Sendable"
        case nonisolated = "nonisolated(unsafe)"
        case exclusivity = "@exclusivity(unchecked)"

        fileprivate var tokens: [String] {
            SwiftLexer.tokens(of: Array(rawValue.utf8)).map(\.text)
        }
    }

    /// `unsafe` outside the boundary files: an expression or an attribute of that name.
    static func findings(in file: SourceFile) -> [Finding] {
        (file.isListed(in: all) ? [] : unsafeFindings(in: file)) + uncheckedFindings(in: file)
    }

    private static func unsafeFindings(in file: SourceFile) -> [Finding] {
        let tokens = file.tokens
        return tokens.indices.compactMap { index in
            guard tokens[index].text == "unsafe" else { return nil }
            // `nonisolated(unsafe)` is counted apart.
            if index > 1, tokens[index - 2].text == "nonisolated" { return nil }
            return Finding(
                path: file.path, line: tokens[index].line,
                message: "unsafe is banned, use a boundary file (Tests/TidyTests/BoundaryFiles)")
        }
    }

    private static func uncheckedFindings(in file: SourceFile) -> [Finding] {
        let tokens = file.tokens.map(\.text)
        return Unchecked.allCases.compactMap { kind in
            let places = tokens.indices.filter { tokens[$0...].starts(with: kind.tokens) }
            let allowed = uncheckedCounts[file.path]?[kind] ?? 0
            if places.count == allowed { return nil }
            let line = places.last.map { file.tokens[$0].line } ?? 1
            let advice =
                places.count > allowed
                ? "use confinement to one thread, or raise the number in BoundaryFiles and say why"
                : "use the new, smaller number in BoundaryFiles"
            return Finding(
                path: file.path, line: line,
                message: "\(kind.rawValue) \(places.count) times is banned (\(allowed)), \(advice)")
        }
    }
}
