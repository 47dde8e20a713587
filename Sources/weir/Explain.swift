internal import ArgumentParser
internal import Configuration
internal import Identity
internal import Rules
internal import Wire

/// `weir explain`: what would become of a request?
struct Explain: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Tells what would become of a request, and why.",
        discussion: """
            Describe a gRPC call with --method, or a request of plain HTTP with --path.
            Exit status: 0 it would be forwarded or answered as configured, 1 it would be \
            refused or the configuration is invalid, 2 a file could not be read.
            """)

    @OptionGroup var configuration: ConfigurationOption

    @Option(help: "The listener's name; needed where there are several.")
    var listener: String?

    @Option(help: "A gRPC method, pkg.Service/Method.")
    var method: String?

    @Option(help: "A path, with a query or without.")
    var path: String?

    @Option(name: .customLong("http-method"), help: "The HTTP method that goes with --path.")
    var httpMethod = "GET"

    @Option(help: "The host that is asked for.")
    var authority = "localhost"

    @Option(name: .customLong("header"), help: "A header field, 'name: value'; may be repeated.")
    var headers: [String] = []

    @Option(help: "What its peer has proven: a SPIFFE ID, or dns:name.")
    var peer: String?

    @Option(help: "The address that its connection comes from.")
    var source = "127.0.0.1"

    @Option(help: "The client's address behind trusted proxies; the source without it.")
    var client: String?

    func validate() throws {
        guard (method == nil) != (path == nil) else {
            throw ValidationError("give either --method or --path")
        }
        _ = try fields()
        _ = try caller()
    }

    func run() throws {
        let snapshot = try configuration.load()
        var request = try request()
        request.caller = try caller()
        let explanation = Explanation(request, at: try terms(in: snapshot), in: snapshot)
        for line in explanation.lines { print(line) }
        if explanation.verdict == .refused { throw ExitCode.no }
    }

    private func request() throws -> DescribedRequest {
        if let method {
            return DescribedRequest(method: method, authority: authority, fields: try fields())
        }
        return DescribedRequest(
            path: path ?? "/", httpMethod: httpMethod, authority: authority, fields: try fields())
    }

    private func caller() throws -> AccessCaller {
        var caller = AccessCaller()
        caller.source = try address(source, "--source")
        caller.client = try client.map { try address($0, "--client") } ?? caller.source
        caller.peer = try peer.map { AccessPeer(try identity($0)) }
        return caller
    }

    private func address(_ text: String, _ option: String) throws -> IPAddress {
        guard let address = IPAddress(parsing: text.utf8.span) else {
            throw ValidationError("\(option) takes an IP address, not '\(text)'")
        }
        return address
    }

    private func identity(_ text: String) throws -> PeerIdentity {
        let isName = text.hasPrefix("dns:")
        let id = isName ? nil : try? SPIFFEID(text)
        guard isName || id.map({ !$0.path.isEmpty }) == true else {
            throw ValidationError("--peer takes a SPIFFE ID or dns:name, not '\(text)'")
        }
        return PeerIdentity(
            spiffeID: id, dnsNames: isName ? [String(text.dropFirst(4))] : [], trust: "",
            expiresAt: .max, fingerprint: [])
    }

    private func terms(in snapshot: Snapshot) throws -> ListenerTerms {
        let names = snapshot.listeners.map(\.name).joined(separator: ", ")
        guard let listener else {
            guard snapshot.listeners.count == 1 else {
                throw ValidationError("say which listener: --listener with one of \(names)")
            }
            return snapshot.listeners[0]
        }
        guard let terms = snapshot.listeners.first(where: { $0.name == listener }) else {
            throw ValidationError("no listener is called '\(listener)', only \(names)")
        }
        return terms
    }

    private func fields() throws -> [DescribedRequest.Field] {
        try headers.map { header in
            guard let colon = header.dropFirst().firstIndex(of: ":") else {
                throw ValidationError("'\(header)' is no header: expected 'name: value'")
            }
            let value = header[header.index(after: colon)...].drop(while: { $0 == " " })
            return DescribedRequest.Field(name: String(header[..<colon]), value: String(value))
        }
    }
}
