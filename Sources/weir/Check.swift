internal import ArgumentParser
internal import Configuration
internal import Wire

/// `weir check`: is a configuration valid, and what would it change?
struct Check: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Checks a configuration and prints every error and warning.",
        discussion: """
            With --diff it says, too, what would be different from the Weir that runs, and what \
            that means for connections and requests that are open.
            Exit status: 0 valid, perhaps with warnings, 1 invalid, 2 a file could not be read or \
            the running Weir not be asked.
            """)

    private static let changesMax = 200

    @OptionGroup var configuration: ConfigurationOption

    @Flag(help: "Say what would change in the Weir that runs.")
    var diff = false

    @Option(help: "The path of its socket; by default the one that the configuration names.")
    var admin: String?

    func validate() throws {
        if admin != nil, !diff { throw ValidationError("--admin belongs to --diff") }
    }

    func run() throws {
        let (snapshot, sources) = try configuration.loadWithSources()
        let counts = [
            count(snapshot.listeners.count, "listener"), count(snapshot.routes.count, "route"),
            count(snapshot.upstreams.count, "upstream"),
        ]
        print("valid: revision \(snapshot.revision), " + counts.joined(separator: ", "))
        if diff { try compare(snapshot, sources) }
    }

    private func count(_ number: Int, _ noun: String) -> String {
        "\(number) \(noun)" + (number == 1 ? "" : "s")
    }

    // MARK: Against the running one

    private func compare(_ snapshot: Snapshot, _ sources: [Source]) throws {
        guard let path = socketPath(snapshot) else {
            StandardError.write(
                "\(configuration.path): has no 'admin: {address: unix:...}'; --admin SOCKET says "
                    + "whom to ask\n")
            throw ExitCode.cannot
        }
        do {
            let page = try AdminClient.get("/configuration", socket: path)
            let environment = Environment.variables
            guard let running = Outline(json: page),
                let wanted = Outline(sources, environment: environment)
            else { throw AdminClient.Failure(words: "more than 16 MiB are not compared") }
            tell(OutlineChange.list(from: running, to: wanted))
        } catch let failure as AdminClient.Failure {
            StandardError.write("\(path): \(failure.words)\n")
            throw ExitCode.cannot
        }
    }

    private func socketPath(_ snapshot: Snapshot) -> String? {
        if let admin { return AdminClient.path(admin) }
        if case .unix(let path) = snapshot.telemetry.admin { return path }
        return nil
    }

    private func tell(_ changes: [OutlineChange]) {
        if changes.isEmpty { return print("the running configuration says the same") }
        for change in changes.prefix(Self.changesMax) { print(change) }
        if changes.count > Self.changesMax { print("and \(changes.count - Self.changesMax) more") }
    }
}
