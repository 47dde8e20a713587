internal import ArgumentParser
internal import Configuration

/// `--config PATH`, as several subcommands take it.
struct ConfigurationOption: ParsableArguments {
    @Option(name: .customLong("config"), help: "A YAML file, or a directory of *.yaml files.")
    var path: String

    func load() throws -> Snapshot { try loadWithSources().snapshot }

    /// The snapshot, and what it was made of. Warnings go to standard error; errors too, and they
    /// end the command.
    func loadWithSources() throws -> (snapshot: Snapshot, sources: [Source]) {
        try Self.load(path: path)
    }

    static func load(path: String) throws -> (snapshot: Snapshot, sources: [Source]) {
        let result = ConfigurationLoader.load(path: path, environment: Environment.variables)
        for line in result.diagnostics.lines(omitted: result.omitted) {
            StandardError.write(line + "\n")
        }
        guard let snapshot = result.snapshot else {
            throw result.isUnreadable ? ExitCode.cannot : ExitCode.no
        }
        return (snapshot, result.sources)
    }
}
