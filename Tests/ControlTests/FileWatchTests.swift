import Testing

@testable import Control

@Suite struct FileWatchTests {
    private let folder: LinuxFolder
    private let watch = FileWatch()

    init() throws { folder = try LinuxFolder() }

    /// True where something woke the thread since the last call.
    private func isWoken() -> Bool {
        defer { watch.silence() }
        return LinuxPoll.isReadable(watch.descriptor)
    }

    /// Watches files that are known to be as they were read.
    private func know(_ files: [String]) {
        watch.watch(files, readSince: .max)
        watch.silence()
    }

    @Test("where nothing changed it says so, whatever happens beside the files")
    func nothing() {
        #expect(!watch.hasMoved())
        know([folder.write("weir.yaml", "a"), folder.path + "/missing.yaml"])
        #expect(!isWoken())
        #expect(!watch.hasMoved())
        folder.write("other.yaml", "b")
        #expect(isWoken())
        #expect(!isWoken())
        #expect(!watch.hasMoved())
    }

    @Test("a file beside them that is written without end keeps nobody")
    func flooded() {
        know([folder.write("weir.yaml", "a")])
        // Three events each; the same twice in a row would be one.
        for _ in 0..<1_500 {
            folder.write("one.log", "a")
            folder.write("other.log", "b")
        }
        #expect(isWoken())
        #expect(isWoken())
        #expect(!watch.hasMoved())
        while isWoken() {}
        folder.write("weir.yaml", "longer")
        #expect(isWoken())
        #expect(watch.hasMoved())
    }

    @Test("a file that is written to has moved once")
    func written() {
        know([folder.write("weir.yaml", "a")])
        folder.write("weir.yaml", "longer")
        #expect(isWoken())
        #expect(watch.hasMoved())
        #expect(!watch.hasMoved())
    }

    @Test("a file that changes while it is read has moved, known before or not")
    func whileRead() {
        let file = folder.write("weir.yaml", "a")
        know([file])
        folder.write("weir.yaml", "longer")
        let new = folder.write("new.yaml", "b")
        // Both were changed after the reading began.
        watch.watch([file, new], readSince: 0)
        #expect(watch.hasMoved())
        #expect(!watch.hasMoved())
        watch.watch([new], readSince: 0)
        #expect(!watch.hasMoved())
    }

    @Test("a file that is replaced by one of the same size has moved")
    func replaced() {
        folder.write("next.yaml", "b")
        know([folder.write("weir.yaml", "a")])
        folder.rename("next.yaml", to: "weir.yaml")
        #expect(isWoken())
        #expect(watch.hasMoved())
    }

    @Test("a file that is deleted, or comes to be, has moved")
    func deleted() {
        know([folder.write("weir.yaml", "a")])
        folder.delete("weir.yaml")
        #expect(isWoken())
        #expect(watch.hasMoved())
        #expect(!watch.hasMoved())
        folder.write("weir.yaml", "a")
        #expect(isWoken())
        #expect(watch.hasMoved())
    }

    @Test("a symbolic link that is swapped has moved, as Kubernetes updates volumes")
    func swapped() {
        folder.makeFolder("v1")
        folder.makeFolder("v2")
        folder.write("v1/weir.yaml", "a")
        folder.write("v2/weir.yaml", "b")
        folder.link("data", to: "v1")
        let file = folder.link("weir.yaml", to: "data/weir.yaml")
        know([file])
        folder.link("data_next", to: "v2")
        folder.rename("data_next", to: "data")
        #expect(isWoken())
        #expect(watch.hasMoved())
        know([file])
        #expect(!watch.hasMoved())
        folder.write("v2/weir.yaml", "longer")
        #expect(isWoken())
        #expect(watch.hasMoved())
    }

    @Test("what comes into a watched directory moves it")
    func directory() {
        let configuration = folder.makeFolder("conf.d")
        know([configuration, folder.write("conf.d/a.yaml", "a")])
        folder.makeFolder("conf.d/b")
        #expect(isWoken())
        #expect(watch.hasMoved())
    }

    @Test("what happens in a directory that took another's place is heard")
    func replacedDirectory() {
        folder.makeFolder("conf.d")
        let file = folder.write("conf.d/a.yaml", "a")
        folder.makeFolder("next.d")
        folder.write("next.d/a.yaml", "b")
        know([file])
        folder.rename("conf.d", to: "old.d")
        folder.rename("next.d", to: "conf.d")
        #expect(watch.hasMoved())
        know([file])
        folder.write("old.d/a.yaml", "nobody's any more")
        #expect(!isWoken())
        folder.write("conf.d/a.yaml", "longer")
        #expect(isWoken())
        #expect(watch.hasMoved())
    }

    @Test("two names of one directory are heard until both are gone")
    func twoNames() {
        folder.makeFolder("v1")
        folder.write("v1/a.yaml", "a")
        folder.link("data", to: "v1")
        know(["\(folder.path)/data/a.yaml", "\(folder.path)/v1/a.yaml"])
        know(["\(folder.path)/v1/a.yaml"])
        folder.write("v1/a.yaml", "longer")
        #expect(isWoken())
        #expect(watch.hasMoved())
        know([])
        folder.write("v1/a.yaml", "longer still")
        #expect(!isWoken())
        #expect(!watch.hasMoved())
    }
}
