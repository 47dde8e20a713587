internal import ArgumentParser

@main
struct Weir: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "weir", abstract: "A proxy for HTTP/2 and gRPC.",
        discussion: """
            Exit status: 0 fine; 1 the answer is no (the configuration is invalid, the request is \
            refused); 2 it could not be found out (an unreadable file); 64 wrong arguments.
            """,
        version: Version.text,
        subcommands: [
            Run.self, Init.self, Status.self, Check.self, Explain.self, Access.self, Schema.self,
            Demo.self, CA.self, TokenCommand.self, Version.self,
        ])
}

extension ExitCode {
    /// The answer is no.
    static let no = ExitCode(1)
    /// No answer could be found.
    static let cannot = ExitCode(2)
    /// `weir run --takeover`: nobody is there to take over from.
    static let nobody = ExitCode(3)
    /// `weir run --takeover`: who is there does not hand over, or hands over what cannot be used.
    static let refused = ExitCode(4)
}
