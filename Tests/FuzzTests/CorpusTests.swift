import FoundationEssentials
import FuzzTargets
import Testing

/// What libFuzzer starts from, and what it has found (docs/fuzzing.md), as ordinary tests.
@Suite struct CorpusTests {
    private static let folder =
        String(#filePath.dropLast("Tests/FuzzTests/CorpusTests.swift".count)) + "Tests/Fuzz/Corpus"

    @Test("holds for every input that is kept", arguments: FuzzTarget.all.map(\.name))
    func corpus(name: String) throws {
        let target = try #require(FuzzTarget.named(name))
        let folder = "\(Self.folder)/\(name)"
        let files = try FileManager.default.contentsOfDirectory(atPath: folder).sorted()
        #expect(!files.isEmpty)
        for file in files {
            let bytes = try #require(FileManager.default.contents(atPath: "\(folder)/\(file)"))
            let fault = target.fault(Array(bytes))
            #expect(fault == nil, "\(name)/\(file)")
        }
    }

    @Test("every folder of inputs is some target's")
    func folders() throws {
        let folders = try FileManager.default.contentsOfDirectory(atPath: Self.folder)
        #expect(Set(folders) == Set(FuzzTarget.all.map(\.name)))
    }

    @Test("holds for nothing, and for some thousand changes to what is kept")
    func changed() throws {
        for target in FuzzTarget.all {
            #expect(target.fault([]) == nil, "\(target.name)")
            let folder = "\(Self.folder)/\(target.name)"
            for file in try FileManager.default.contentsOfDirectory(atPath: folder).sorted() {
                let bytes = Array(
                    try #require(FileManager.default.contents(atPath: "\(folder)/\(file)")))
                for step in 0..<min(target.isSlow ? 2 : 8, bytes.count) {
                    var changed = bytes
                    changed[step * bytes.count / 8] ^= UInt8(1 << (step % 8))
                    #expect(target.fault(changed) == nil, "\(target.name)/\(file), change \(step)")
                }
            }
        }
    }
}
