import Configuration
import Proxy
import Testing
import Wire

@testable import Control

@Suite struct SharedResourcesTests {
    private let folder: LinuxFolder

    init() throws { folder = try LinuxFolder() }

    @Test("sockets stay by address and counts by name")
    func stays() throws {
        var resources = SharedResources(InheritedSockets(names: []))
        let before = try resources.installation(of: snapshot(["a", "b"], upstreams: ["u", "v"]))
        let after = try resources.installation(of: snapshot(["c", "b"], upstreams: ["v", "w"]))
        #expect(after.sockets[1] === before.sockets[1])
        #expect(after.sockets[0] !== before.sockets[0])
        #expect(after.counts[0] === before.counts[1])
        #expect(after.counts[1] !== before.counts[0])
        #expect(connects("a") && connects("b") && connects("c"))
    }

    @Test("a rate limit's buckets stay by name, unless they mean other callers")
    func buckets() throws {
        func tables(_ limits: String...) throws -> [BucketTable] {
            try resources.installation(of: snapshot(["a"], upstreams: ["u"], limits)).buckets
        }
        var resources = SharedResources(InheritedSockets(names: []))
        let first = try tables("{name: x, rate: 1/s}", "{name: y, rate: 1/s, by: [source]}")
        let second = try tables(
            "{name: y, rate: 9/h, burst: 7, by: [source]}", "{name: x, rate: 2/s, by: [source]}")
        #expect(second[0] === first[1])
        #expect(second[1] !== first[0])
        let third = try tables("{name: y, rate: 9/h, by: [source], keys: 64}")
        #expect(third[0] !== first[1] && third[0].capacity == 64)
    }

    @Test("a listener that is not needed any more is closed with its last owner")
    func closed() throws {
        var resources = SharedResources(InheritedSockets(names: []))
        _ = try resources.installation(of: snapshot(["a"], upstreams: ["u"]))
        #expect(connects("a"))
        let after = try resources.installation(of: snapshot(["b"], upstreams: ["u"]))
        #expect(!connects("a"))
        #expect(connects("b"))
        #expect(after.sockets.count == 1)
    }

    @Test("where one address cannot be listened on nothing changes")
    func failing() throws {
        var resources = SharedResources(InheritedSockets(names: []))
        let first = try snapshot(["a"], upstreams: ["u"])
        let before = try resources.installation(of: first)
        let failing = try snapshot(["b", "missing/c"], upstreams: ["w"])
        let error = #expect(throws: SharedResources.Failure.self) {
            try resources.installation(of: failing)
        }
        #expect(error?.description.contains("missing/c") == true)
        #expect(connects("a"))
        #expect(!connects("b"))
        let after = try resources.installation(of: first)
        #expect(after.sockets[0] === before.sockets[0])
        #expect(after.counts[0] === before.counts[0])
    }

    private func snapshot(
        _ sockets: [String], upstreams: [String], _ limits: [String] = []
    ) throws -> Snapshot {
        var text = "listeners:\n"
        for name in sockets {
            text += "  - {name: \(name.last ?? "a"), address: \"unix:\(folder.at(name))\"}\n"
        }
        text += "upstreams:\n"
        for name in upstreams { text += "  - {name: \(name), endpoints: [127.0.0.1:1]}\n" }
        text += "rate_limits: [\(limits.joined(separator: ", "))]\n"
        text += "access: {default: allow}\n"
        let sources = [Source(name: "weir.yaml", text: text)]
        return try #require(ConfigurationLoader.load(sources: sources, environment: [:]).snapshot)
    }

    private func connects(_ name: String) -> Bool {
        LinuxSocket.connecting(to: .unix(path: "\(folder.path)/\(name)")).errno == 0
    }
}
