public import ArgumentParser
internal import Configuration
internal import Control
public import Logging

struct Run: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Serve by a configuration until a signal ends it.",
        discussion: """
            SIGHUP loads the configuration again, as changes of its files do. SIGTERM and SIGINT \
            drain: no new connections, and those that are open end with their last stream; a \
            second one ends at once. SIGUSR2 starts the program that is there now, which takes \
            over.

            --takeover upgrades without dropping a call: the listening sockets of a Weir that \
            runs are taken over, over its administration interface, and it drains as soon as \
            this one serves. Until then nothing has changed for it, whatever goes wrong here.
            """)

    @OptionGroup var source: ConfigurationOption

    @Option(help: "Threads that serve; by default one for each core that may be used.")
    var workers: Int = 0

    @Option(help: "trace, debug, info, notice, warning, error or critical.")
    var logLevel: Logger.Level = .notice

    @Option(
        defaultAsFlag: "",
        help: ArgumentHelp(
            "Take over from the Weir whose administration interface has this path.",
            discussion: "Without a path: the one that 'admin' of the configuration names.",
            valueName: "socket"))
    var takeover: String?

    func validate() throws {
        guard (0...1_024).contains(workers) else {
            throw ValidationError("--workers is a number from 1 to 1024")
        }
    }

    func run() throws {
        var logger = Logger(label: "weir") { StreamLogHandler.standardError(label: $0) }
        logger.logLevel = logLevel
        let environment = Environment.variables
        var options = Controller.Options(
            path: source.path, environment: environment, workers: workers,
            supervisor: .own(environment), takeover: takeover.map(AdminClient.path))
        options.program = OwnProgram.path
        do {
            try Controller(options, logger).run()
        } catch {
            throw error.reported()
        }
    }
}

extension Controller.StartError {
    /// Says what is wrong on standard error, and gives the command's exit status.
    func reported() -> ExitCode {
        switch self {
        case .configuration(let result):
            for line in result.diagnostics.lines(omitted: result.omitted) {
                StandardError.write(line + "\n")
            }
            return result.isUnreadable ? .cannot : .no
        case .listener(let error):
            StandardError.write("\(error)\n")
        case .tls(let words):
            StandardError.write("\(words)\n")
        case .threads:
            StandardError.write("no threads or descriptors left to start with\n")
        case .takeover(let failure):
            StandardError.write("\(failure.words)\n")
            if case .nobody = failure { return .nobody }
            return .refused
        }
        return .cannot
    }
}

extension Logger.Level: @retroactive ExpressibleByArgument {}
