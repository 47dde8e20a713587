internal import ArgumentParser
internal import Configuration
internal import Wire

/// `weir status`: what a running Weir says of itself.
struct Status: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Shows what a running Weir is doing.",
        discussion: """
            Asks its administration interface, which `admin:` in its configuration names. Exit \
            status: 0 it answered, 1 it is draining, 2 there is no answer.
            """)

    enum Page: String, ExpressibleByArgument, CaseIterable { case summary, routes, connections }

    @Argument(help: "summary, routes (in their compiled order) or connections.")
    var page = Page.summary

    @Option(help: "The configuration that the running one was started with.")
    var config: String?

    @Option(help: "The path of its socket, instead of --config.")
    var admin: String?

    @Flag(help: "As JSON, for programs.")
    var json = false

    func validate() throws {
        guard (config == nil) != (admin == nil) else {
            throw ValidationError("one of --config PATH and --admin SOCKET says whom to ask")
        }
    }

    func run() throws {
        let path = try socketPath()
        do {
            print(try AdminClient.get(address, socket: path), terminator: "")
            let isDraining = try AdminClient.get("/status", socket: path).contains(
                "\"draining\": true")
            if isDraining { throw ExitCode.no }
        } catch let failure as AdminClient.Failure {
            StandardError.write("\(path): \(failure.words)\n")
            throw ExitCode.cannot
        }
    }

    private var address: String {
        switch page {
        case .summary: json ? "/status" : "/"
        case .routes: json ? "/routes" : "/text/routes"
        case .connections: json ? "/connections" : "/text/connections"
        }
    }

    private func socketPath() throws -> String {
        if let admin { return AdminClient.path(admin) }
        guard let config else { return "" }
        let result = ConfigurationLoader.load(path: config, environment: Environment.variables)
        if case .unix(let path) = result.snapshot?.telemetry.admin { return path }
        let words = result.snapshot == nil ? "is not valid" : "has no 'admin: {address: unix:...}'"
        StandardError.write("\(config): \(words)\n")
        throw ExitCode.cannot
    }
}
