import Configuration
import Identity
import TestKit
import Testing

/// Files in memory that tests change between loads.
private final class Files {
    var contents: [String: String] = [
        "weir.crt": TestCertificates.weir, "weir.key": TestCertificates.weirKey,
        "ca.pem": TestCertificates.authority,
    ]
    var readableByAll: Set<String> = []
    var unixTime: Int64 = 1_767_225_600

    lazy var materials = Materials(
        Materials.Source(
            read: { [unowned self] path in
                contents[path].map { .success(Array($0.utf8)) }
                    ?? .failure(Materials.Failure("No such file or directory"))
            },
            isWorldReadable: { [unowned self] in readableByAll.contains($0) },
            unixTime: { [unowned self] in unixTime }))

    /// More keys of the identity.
    var more = ""

    func load() -> LoadResult {
        let text = """
            identities: [{name: self, certificate: weir.crt, private_key: weir.key\(more)}]
            trust: [{name: mesh.example, ca: ca.pem}]
            listeners:
              - name: edge
                address: "[::]:8443"
                tls: {identities: [self], clients: required, trust: [mesh.example]}
            upstreams:
              - name: orders
                endpoints: [127.0.0.1:1]
                tls:
                  identity: self
                  trust: mesh.example
                  peers: ["spiffe://mesh.example/orders/*"]
            routes: [{name: all, backends: [{upstream: orders}]}]
            access: {default: allow}
            """
        return ConfigurationLoader.load(
            sources: [Source(name: "weir.yaml", text: text)], environment: [:],
            materials: materials)
    }
}

@Suite("Files that a configuration names")
struct MaterialsTests {
    private let files = Files()

    @Test("are read, watched, and part of the revision")
    func fresh() throws {
        let result = files.load()
        let snapshot = try #require(result.snapshot)
        #expect(result.diagnostics.isEmpty)
        #expect(result.files == ["weir.yaml", "weir.crt", "weir.key", "ca.pem"])
        let tls = try #require(snapshot.listeners[0].tls)
        #expect(tls.identities[0].spiffeID?.description == "spiffe://mesh.example/weir")
        #expect(tls.clients == .required)
        #expect(snapshot.upstreams[0].tls?.peers.count == 1)
        files.contents["weir.crt"] = TestCertificates.web
        files.contents["weir.key"] = TestCertificates.webKey
        #expect(try #require(files.load().snapshot).revision != snapshot.revision)
    }

    @Test("may be renewed by an authority, which listens on a unix socket")
    func authority() throws {
        #expect(try #require(files.load().snapshot).renewed.isEmpty)
        files.more = ", authority: unix:ca.sock"
        let renewed = try #require(files.load().snapshot?.renewed.first)
        #expect(renewed.name == "self")
        #expect([renewed.certificate, renewed.privateKey] == ["weir.crt", "weir.key"])
        #expect(renewed.socket == "ca.sock")
        #expect(renewed.current.spiffeID?.description == "spiffe://mesh.example/weir")
        files.more = ", authority: '127.0.0.1:1'"
        #expect(files.load().diagnostics.map(\.code) == [.badValue])
    }

    @Test(
        "that are broken at first are errors",
        arguments: [
            ("weir.crt", "nothing"), ("weir.key", TestCertificates.webKey), ("ca.pem", ""),
            ("ca.pem", TestCertificates.weir), ("weir.crt", nil),
        ] as [(String, String?)])
    func broken(file: String, content: String?) {
        files.contents[file] = content
        let result = files.load()
        #expect(result.snapshot == nil)
        #expect(result.diagnostics.contains { $0.code == .badFile })
    }

    @Test(
        "that break later change nothing, and a warning says so",
        arguments: [
            ("weir.crt", "nothing"), ("weir.key", TestCertificates.webKey), ("ca.pem", ""),
            ("weir.key", nil),
        ] as [(String, String?)])
    func kept(file: String, content: String?) throws {
        let first = try #require(files.load().snapshot)
        files.contents[file] = content
        let result = files.load()
        #expect(result.diagnostics.map(\.code) == [.keptFile])
        #expect(try #require(result.snapshot).revision == first.revision)
    }

    @Test("that everybody may read are refused where they are secret")
    func secrets() {
        files.readableByAll = ["weir.crt", "ca.pem"]
        #expect(files.load().diagnostics.isEmpty)
        files.readableByAll = ["weir.key"]
        #expect(files.load().diagnostics.map(\.code) == [.keptFile])
        #expect(Files.withReadableKey.load().diagnostics.map(\.code) == [.badFile])
    }

    @Test("that have expired since are used on, with a warning; at first they are errors")
    func expired() throws {
        _ = files.load()
        files.unixTime = 5_000_000_000
        let later = files.load()
        #expect(later.snapshot != nil)
        #expect(later.diagnostics.map(\.code) == [.expired, .expired])
        let late = Files()
        late.unixTime = 5_000_000_000
        #expect(late.load().snapshot == nil)
    }
}

extension Files {
    fileprivate static var withReadableKey: Files {
        let files = Files()
        files.readableByAll = ["weir.key"]
        return files
    }
}
