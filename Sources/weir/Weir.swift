internal import ArgumentParser

@main
struct Weir: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "weir", abstract: "A proxy for HTTP/2 and gRPC.")
}
