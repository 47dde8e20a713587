@testable import Configuration

/// The repository's files, found from this one.
enum Repository {
    static let root = String(
        #filePath.dropLast("/Tests/ConfigurationTests/Repository.swift".count))

    static func bytes(_ path: String) -> [UInt8] {
        (try? FileReader.read(root + "/" + path, limit: 16 << 20).get()) ?? []
    }

    static func text(_ path: String) -> String { String(decoding: bytes(path), as: UTF8.self) }

    static func lines(_ path: String) -> [String] {
        text(path).split(separator: "\n").map(String.init)
    }

    /// The names of a folder's YAML files, without their ending.
    static func yamlFiles(in folder: String) -> [String] {
        let names = (try? FileReader.yamlFiles(in: root + "/" + folder).get()) ?? []
        return names.map { String($0.dropLast(".yaml".count)) }
    }
}

/// What many tests write.
enum Text {
    static let head = """
        listeners: [{name: local, address: 127.0.0.1:8080}]
        upstreams: [{name: orders, endpoints: [127.0.0.1:50051]}]
        access: {default: allow}

        """

    static func load(_ text: String, _ environment: [String: String] = [:]) -> LoadResult {
        ConfigurationLoader.load(
            sources: [Source(name: "weir.yaml", text: text)], environment: environment)
    }
}
