internal import ArgumentParser
internal import Configuration
internal import Wire

/// `weir init`: a configuration to begin with.
struct Init: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Writes a configuration for a service, with comments.",
        discussion: """
            Exit status: 0 it was written, 1 what it would say is not valid, 2 it could not be \
            written (an existing file is never touched), 64 wrong arguments.
            """)

    @Option(help: "Where Weir listens.")
    var listen = "127.0.0.1:8080"

    @Option(help: "An address of the service, such as 127.0.0.1:50051; may be repeated.")
    var upstream: [String] = []

    @Option(help: "A gRPC method: pkg.Svc/M, pkg.Svc/* or pkg.*; may be repeated. All by default.")
    var method: [String] = []

    @Option(help: "Descriptors (protoc --descriptor_set_out): all of their services.")
    var descriptors: String?

    @Option(help: "The file to write; '-' is standard output.")
    var output = "weir.yaml"

    func validate() throws {
        if upstream.isEmpty {
            throw ValidationError("--upstream ADDRESS says where the service is")
        }
        for address in [listen] + upstream { _ = try parsed(address) }
    }

    private func parsed(_ text: String) throws -> SocketAddress {
        do { return try SocketAddress(parsing: text) } catch {
            throw ValidationError("'\(text)' is not an address; expected \(error.expected)")
        }
    }

    private func services(_ path: String) throws -> [String] {
        do throws(WholeFile.Failure) {
            let methods = try WholeFile.descriptors(path).methods
            let services = Set(methods.compactMap { $0.split(separator: "/").first }).sorted()
            if !services.isEmpty { return services.map(String.init) }
            StandardError.write("\(path): declares no method\n")
        } catch {
            StandardError.write("\(path): \(error.words)\n")
        }
        throw ExitCode.cannot
    }

    func run() throws {
        let listener = try parsed(listen)
        var methods = method
        if let descriptors { methods += try services(descriptors).map { $0 + "/*" } }
        let text = StarterConfiguration(
            listen: listen, isLocal: listener.isLoopback, upstreams: upstream, methods: methods,
            descriptors: descriptors.map { NewFile.path($0, from: output) }
        ).text
        let name = output == "-" ? "weir.yaml" : output
        // What a method's grammar or a second listing breaks is told as `weir check` would.
        let result = ConfigurationLoader.load(
            sources: [Source(name: name, text: text)], environment: [:])
        guard result.snapshot != nil else {
            for line in result.diagnostics.lines() { StandardError.write(line + "\n") }
            throw ExitCode.no
        }
        if output == "-" { return print(text, terminator: "") }
        if let failure = NewFile.write(text, to: output) {
            StandardError.write("\(output): \(failure)\n")
            throw ExitCode.cannot
        }
        print(
            """
            \(output) is written. Next:
              weir check --config \(output)
              weir run --config \(output)
            """)
    }
}
