internal import Control
internal import Identity
internal import Peers

/// What the show plays on: two backends, the mesh, a folder for its files and the configuration,
/// and the proxy's port.
struct Stage: Sendable {
    static let fileName = "weir.yaml"

    let first: EchoServer
    let second: EchoServer
    let folder: TemporaryFolder
    let mesh: Mesh
    let desk: TokenDesk
    /// Lets `web` make Bidi calls.
    let token: String
    var port: UInt16

    var path: String { "\(folder.path)/\(Self.fileName)" }
    /// Requests that reached a backend.
    var backendCalls: Int { first.calls + second.calls }

    /// Makes the mesh, in a folder that is there.
    init(
        _ first: EchoServer, _ second: EchoServer, _ folder: TemporaryFolder, port: UInt16
    ) throws(CommandFailure) {
        self.first = first
        self.second = second
        self.folder = folder
        self.port = port
        mesh = try Mesh(in: folder.path)
        guard let desk = TokenDesk(), let token = desk.token() else {
            throw CommandFailure(folder.path, "no key for tokens can be made", .cannot)
        }
        self.desk = desk
        self.token = token
        try writeFile(desk.keyPEM, "\(folder.path)/\(TokenDesk.keyFile)", .secret)
        try writeFile(desk.keySet, "\(folder.path)/\(TokenDesk.keySetFile)", .open)
        try writeFile(Array((token + "\n").utf8), "\(folder.path)/\(TokenDesk.tokenFile)", .secret)
        tellBackends()
    }

    /// The backends' new connections are by what the mesh says now.
    func tellBackends() {
        first.speakTLS(mesh.terms(of: .backendA))
        second.speakTLS(mesh.terms(of: .backendB))
    }

    /// A connection to the proxy; nil where it is refused, or the proxy proves to be another.
    func connect(_ terms: PeerTLS.Terms) -> EchoCaller? {
        guard let caller = EchoCaller(port: port, authority: Mesh.domain, tls: terms),
            caller.server?.name == Mesh.Member.weir.id
        else { return nil }
        return caller
    }

    /// What a call of this shape has to carry.
    func authorization(for method: CallClient.Method) -> [HeaderField] {
        method == .bidi ? authorization(token) : []
    }

    /// What the route `echo-again` is told by.
    static let asksAgain = [HeaderField("x-demo", "again")]

    func authorization(_ token: String) -> [HeaderField] {
        [HeaderField("authorization", "Bearer \(token)")]
    }

    /// Puts the configuration in its place; false where the system refuses.
    func install(_ text: String) -> Bool { folder.replace(Self.fileName, with: text) }

    // MARK: Configuration

    /// A configuration whose route `echo` leads to one of the backends.
    ///
    /// - withheld: what `web` may not call for once.
    func configuration(
        leadingTo backend: EchoServer, withholding withheld: CallClient.Method? = nil
    ) -> String {
        let methods = CallClient.Method.allCases.filter { $0 != .bidi && $0 != withheld }
        let calls = methods.map { "weir.echo.v1.Echo/\($0.rawValue)" } + ["demo.*"]
        let web = "\"\(Mesh.Member.web.id)\""
        return """
            # Written by `weir demo`. Save a change, and the proxy that is running takes it over.
            identities:
              - {name: self, certificate: weir.pem, private_key: weir.pem}

            trust:
              - {name: \(Mesh.domain), ca: \(Mesh.bundleFile)}

            token_issuers:
              - name: login
                issuer: \(TokenDesk.issuer)
                audiences: [\(TokenDesk.audience)]
                algorithms: [ES256]
                keys: {file: \(TokenDesk.keySetFile)}
                max_lifetime: \(TokenDesk.lifetime / 3_600)h

            listeners:
              - name: demo
                address: 127.0.0.1:\(port)
                tls:
                  identities: [self]
                  clients: required
                  trust: [\(Mesh.domain)]
                  forward_client: on

            upstreams:
            \(upstream(first, .backendA))
            \(upstream(second, .backendB))
              - name: both
                endpoints: ["127.0.0.1:\(first.port)", "127.0.0.1:\(second.port)"]
                tls:
                  identity: self
                  trust: \(Mesh.domain)
                  peers: ["\(Mesh.Member.backendA.id)", "\(Mesh.Member.backendB.id)"]

            routes:
              - name: echo
                matches: [{method: weir.echo.v1.Echo/*}]
                backends:
                  - {upstream: \(first.name), weight: \(backend === first ? 100 : 0)}
                  - {upstream: \(second.name), weight: \(backend === second ? 100 : 0)}
              - name: echo-again        # the same where a caller asks for it
                matches: [{method: weir.echo.v1.Echo/Unary, headers: {x-demo: again}}]
                backends: [{upstream: both}]
                retry: {codes: [UNAVAILABLE]}
              - name: plain
                matches: [{path: {prefix: /plain}}]
                backends: [{upstream: \(first.name)}, {upstream: \(second.name)}]

            access:
              default: deny
              rules:
                - name: calls
                  methods: [\(calls.joined(separator: ", "))]
                  http: ["* /plain/*"]
                  allow: [{peers: [\(web)]}]
                - name: talk
                  methods: [weir.echo.v1.Echo/Bidi]
                  allow:
                    - peers: [\(web)]
                      token: {issuer: login, claims: {scope: {has: \(TokenDesk.scope)}}}

            """
    }

    private func upstream(_ server: EchoServer, _ member: Mesh.Member) -> String {
        """
          - name: \(server.name)
            endpoints: [127.0.0.1:\(server.port)]
            tls: {identity: self, trust: \(Mesh.domain), peers: ["\(member.id)"]}
        """
    }

    /// A configuration with a misspelt key.
    var misspeltConfiguration: String {
        configuration(leadingTo: first) + "acess: {default: deny}\n"
    }
}
