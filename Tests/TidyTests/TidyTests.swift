import Testing

/// The house style, checked on the repository itself.
@Suite struct TidyTests {
    @Test("lines, functions, files and parameter lists stay within their walls")
    func sizes() throws {
        for file in try SourceFile.swift.get() { Finding.report(SizeRules.findings(in: file)) }
    }

    @Test("banned calls and names are nowhere")
    func words() throws {
        for file in try SourceFile.swift.get() { Finding.report(WordRules.findings(in: file)) }
    }

    @Test("imports follow the layout's arrows, and C stays in boundary files")
    func imports() throws {
        for file in try SourceFile.swift.get() { Finding.report(ImportRules.findings(in: file)) }
    }

    @Test("unsafe code stays in boundary files, and checks turned off are counted")
    func boundaries() throws {
        for file in try SourceFile.swift.get() { Finding.report(BoundaryFiles.findings(in: file)) }
    }

    @Test("no text names a machine's paths or leaves work unfinished")
    func texts() throws {
        for file in try SourceFile.text.get() { Finding.report(WordRules.textFindings(in: file)) }
    }

    @Test("links between pages lead to files")
    func links() throws {
        for file in try SourceFile.text.get() {
            Finding.report(LinkRules.findings(in: file, exists: RepositoryTree.current.exists))
        }
    }

    @Test("every counted file still exists")
    func tables() {
        for path in BoundaryFiles.uncheckedCounts.keys {
            #expect(RepositoryTree.current.exists(path))
        }
    }
}
