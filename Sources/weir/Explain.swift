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

    @Option(name: .customLong("config"), help: "A YAML file, or a directory of *.yaml files.")
    var path: String?

    @Option(help: "Ask the Weir that runs, at the path of its socket, instead of a file.")
    var admin: String?

    @OptionGroup var question: Question

    func validate() throws {
        guard (path == nil) != (admin == nil) else {
            throw ValidationError(
                "one of --config PATH and --admin SOCKET says whose routes and rules")
        }
        try question.validate()
    }

    func run() throws {
        let inquiry = try question.inquiry()
        let (lines, isRefused) = try admin.map { try ask($0, inquiry) } ?? answer(inquiry)
        for line in lines { print(line) }
        if isRefused { throw ExitCode.no }
    }

    private func answer(_ inquiry: Inquiry) throws -> (lines: [String], isRefused: Bool) {
        let snapshot = try ConfigurationOption.load(path: path ?? "").snapshot
        do throws(Inquiry.Problem) {
            let found = try inquiry.explanation(in: snapshot, keys: [:], at: WallClock.seconds)
            return (found.lines, found.verdict == .refused)
        } catch {
            throw ValidationError(error.words)
        }
    }

    private func ask(
        _ socket: String, _ inquiry: Inquiry
    ) throws -> (lines: [String], isRefused: Bool) {
        let path = AdminClient.path(socket)
        do throws(AdminClient.Failure) {
            let text = try AdminClient.post("/explain", inquiry.json, socket: path)
            guard let answer = try? JSONParser.parse(text.utf8.span),
                case .array(let values)? = answer["lines"], let verdict = answer["verdict"]
            else { throw AdminClient.Failure(words: "the answer is of another version") }
            let lines = values.compactMap { line -> String? in
                if case .string(let text) = line { text } else { nil }
            }
            return (lines, verdict == .string("refused"))
        } catch {
            StandardError.write("\(path): \(error.words)\n")
            throw ExitCode.cannot
        }
    }
}

/// The request that is asked about.
struct Question: ParsableArguments {
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

    @Option(help: "The SHA-256 of the peer's certificate, for tokens that are bound to it.")
    var certificate: String?

    @Option(help: "The address that its connection comes from.")
    var source = "127.0.0.1"

    @Option(help: "The client's address behind trusted proxies; the source without it.")
    var client: String?

    @Option(help: "A file with the token that the request carries; '-' is standard input.")
    var tokenFile: String?

    func validate() throws {
        guard (method == nil) != (path == nil) else {
            throw ValidationError("give either --method or --path")
        }
        if certificate != nil, peer == nil {
            throw ValidationError("--certificate goes with --peer")
        }
    }

    func inquiry() throws -> Inquiry {
        var inquiry = Inquiry()
        inquiry.listener = listener ?? ""
        inquiry.method = method
        inquiry.path = path
        inquiry.httpMethod = httpMethod
        inquiry.authority = authority
        inquiry.headers = headers
        inquiry.peer = peer
        inquiry.certificate = certificate
        inquiry.source = source
        inquiry.client = client
        if let tokenFile {
            let bytes = try File(tokenFile).contents(limit: 2 * CompactToken.bytesMax)
            inquiry.token = String(decoding: KeySet.secret(in: bytes), as: UTF8.self)
        }
        return inquiry
    }
}
