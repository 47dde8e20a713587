internal import ArgumentParser
internal import Configuration

/// `weir check`: is a configuration valid?
struct Check: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Checks a configuration and prints every error and warning.",
        discussion: """
            Exit status: 0 valid, perhaps with warnings, 1 invalid, 2 a file could not be read.
            """)

    @OptionGroup var configuration: ConfigurationOption

    func run() throws {
        let snapshot = try configuration.load()
        let counts = [
            count(snapshot.listeners.count, "listener"), count(snapshot.routes.count, "route"),
            count(snapshot.upstreams.count, "upstream"),
        ]
        print("valid: revision \(snapshot.revision), " + counts.joined(separator: ", "))
    }

    private func count(_ number: Int, _ noun: String) -> String {
        "\(number) \(noun)" + (number == 1 ? "" : "s")
    }
}
