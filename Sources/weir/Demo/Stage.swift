internal import Peers

/// What the show plays on: two backends, a folder for the configuration, and the proxy's port.
struct Stage: Sendable {
    static let fileName = "weir.yaml"

    let first: EchoServer
    let second: EchoServer
    let folder: TemporaryFolder
    var port: UInt16

    var path: String { "\(folder.path)/\(Self.fileName)" }
    /// Requests that reached a backend.
    var backendCalls: Int { first.calls + second.calls }

    /// Puts the configuration in its place; false where the system refuses.
    func install(_ text: String) -> Bool { folder.replace(Self.fileName, with: text) }

    func remove() { folder.remove(files: [Self.fileName]) }

    /// A configuration whose route `echo` leads to one of the backends.
    func configuration(leadingTo backend: EchoServer) -> String {
        """
        # Written by `weir demo`. Save a change, and the proxy that is running takes it over.
        listeners:
          - {name: demo, address: 127.0.0.1:\(port)}

        upstreams:
          - {name: \(first.name), endpoints: [127.0.0.1:\(first.port)]}
          - {name: \(second.name), endpoints: [127.0.0.1:\(second.port)]}

        routes:
          - name: echo
            matches: [{method: weir.echo.v1.Echo/*}]
            backends:
              - {upstream: \(first.name), weight: \(backend === first ? 100 : 0)}
              - {upstream: \(second.name), weight: \(backend === second ? 100 : 0)}
          - name: plain
            matches: [{path: {prefix: /plain}}]
            backends: [{upstream: \(first.name)}, {upstream: \(second.name)}]

        access: {default: allow}

        """
    }

    /// A configuration with a misspelt key.
    var misspeltConfiguration: String {
        configuration(leadingTo: first) + "acess: {default: deny}\n"
    }
}
