internal import ArgumentParser
internal import Configuration

/// `--config PATH`, as several subcommands take it.
struct ConfigurationOption: ParsableArguments {
    @Option(name: .customLong("config"), help: "A YAML file, or a directory of *.yaml files.")
    var path: String

    /// The snapshot. Warnings go to standard error; errors too, and they end the command.
    func load() throws -> Snapshot {
        let result = ConfigurationLoader.load(path: path, environment: Environment.variables)
        for line in result.diagnostics.lines(omitted: result.omitted) {
            StandardError.write(line + "\n")
        }
        guard let snapshot = result.snapshot else {
            throw result.isUnreadable ? ExitCode.cannot : ExitCode.no
        }
        return snapshot
    }
}
