import Testing

@testable import Control

@Suite struct FileWatchTests {
    private let folder: LinuxFolder

    init() throws { folder = try LinuxFolder() }

    @Test("where nothing changed it says so, whatever happens beside the files")
    func nothing() {
        let file = folder.write("weir.yaml", "a")
        let watch = FileWatch()
        #expect(!watch.hasChanged())
        watch.watch([file, folder.path + "/missing.yaml"])
        #expect(!watch.hasEvents())
        #expect(!watch.hasChanged())
        folder.write("other.yaml", "b")
        #expect(watch.hasEvents())
        #expect(!watch.hasEvents())
        #expect(!watch.hasChanged())
    }

    @Test("a file that is written to has changed until it is watched again")
    func written() {
        let file = folder.write("weir.yaml", "a")
        let watch = FileWatch()
        watch.watch([file])
        folder.write("weir.yaml", "longer")
        #expect(watch.hasEvents())
        #expect(watch.hasChanged())
        #expect(watch.hasChanged())
        watch.watch([file])
        #expect(!watch.hasChanged())
    }

    @Test("a file that is replaced by one of the same size has changed")
    func replaced() {
        let file = folder.write("weir.yaml", "a")
        let watch = FileWatch()
        folder.write("next.yaml", "b")
        watch.watch([file])
        folder.rename("next.yaml", to: "weir.yaml")
        #expect(watch.hasEvents())
        #expect(watch.hasChanged())
    }

    @Test("a file that is deleted, or comes to be, has changed")
    func deleted() {
        let file = folder.write("weir.yaml", "a")
        let watch = FileWatch()
        watch.watch([file])
        folder.delete("weir.yaml")
        #expect(watch.hasEvents())
        #expect(watch.hasChanged())
        watch.watch([file])
        #expect(!watch.hasChanged())
        folder.write("weir.yaml", "a")
        #expect(watch.hasEvents())
        #expect(watch.hasChanged())
    }

    @Test("a symbolic link that is swapped has changed, as Kubernetes updates volumes")
    func swapped() {
        folder.makeFolder("v1")
        folder.makeFolder("v2")
        folder.write("v1/weir.yaml", "a")
        folder.write("v2/weir.yaml", "b")
        folder.link("data", to: "v1")
        let file = folder.link("weir.yaml", to: "data/weir.yaml")
        let watch = FileWatch()
        watch.watch([file])
        folder.link("data_next", to: "v2")
        folder.rename("data_next", to: "data")
        #expect(watch.hasEvents())
        #expect(watch.hasChanged())
        watch.watch([file])
        #expect(!watch.hasChanged())
        _ = watch.hasEvents()
        folder.write("v2/weir.yaml", "longer")
        #expect(watch.hasEvents())
        #expect(watch.hasChanged())
    }

    @Test("a file that comes into a watched directory changes it")
    func directory() {
        let configuration = folder.makeFolder("conf.d")
        let file = folder.write("conf.d/a.yaml", "a")
        let watch = FileWatch()
        watch.watch([configuration, file])
        folder.makeFolder("conf.d/b")
        #expect(watch.hasEvents())
        #expect(watch.hasChanged())
    }

    @Test("what happens in a directory that took another's place is heard")
    func replacedDirectory() {
        folder.makeFolder("conf.d")
        let file = folder.write("conf.d/a.yaml", "a")
        folder.makeFolder("next.d")
        folder.write("next.d/a.yaml", "b")
        let watch = FileWatch()
        watch.watch([file])
        folder.rename("conf.d", to: "old.d")
        folder.rename("next.d", to: "conf.d")
        #expect(watch.hasChanged())
        watch.watch([file])
        _ = watch.hasEvents()
        folder.write("old.d/a.yaml", "nobody's any more")
        #expect(!watch.hasEvents())
        folder.write("conf.d/a.yaml", "longer")
        #expect(watch.hasEvents())
        #expect(watch.hasChanged())
    }

    @Test("two names of one directory are both heard until the last is gone")
    func twoNames() {
        folder.makeFolder("v1")
        folder.write("v1/a.yaml", "a")
        folder.link("data", to: "v1")
        let watch = FileWatch()
        watch.watch(["\(folder.path)/data/a.yaml", "\(folder.path)/v1/a.yaml"])
        watch.watch(["\(folder.path)/v1/a.yaml"])
        _ = watch.hasEvents()
        folder.write("v1/a.yaml", "longer")
        #expect(watch.hasEvents())
        watch.watch([])
        _ = watch.hasEvents()
        folder.write("v1/a.yaml", "longer still")
        #expect(!watch.hasEvents())
        #expect(!watch.hasChanged())
    }
}
