internal import ArgumentParser
internal import Control
internal import Peers

/// `weir demo`: two backends, the proxy in front of them, and calls through it, in one process.
struct Demo: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Shows what Weir does, with backends of its own.",
        discussion: """
            Makes calls through a proxy that is configured by a file, changes the file while calls \
            run, and says what happened; then it goes on and prints commands to try.
            Exit status: 0 every call did what it should, 1 one did not, or the show was \
            interrupted, 2 it could not begin.
            """)

    private static let attempts = 10

    @Flag(help: "End after the show.")
    var once = false

    @Option(help: "The proxy's port on 127.0.0.1; by default one that is free.")
    var port: UInt16?

    func validate() throws {
        if port == 0 { throw ValidationError("--port is a number from 1 to 65535") }
    }

    func run() throws {
        guard let first = EchoServer(name: "backend-a"), let second = EchoServer(name: "backend-b"),
            let folder = TemporaryFolder(name: "weir-demo")
        else {
            StandardError.write("no ports, or no folder for temporary files\n")
            throw ExitCode.cannot
        }
        var stage = Stage(first: first, second: second, folder: folder, port: port ?? 0)
        defer { stage.remove() }
        let log = DemoLog()
        let controller = try begin(&stage, log)
        let narrator = Narrator(controller.stopper)
        perform(on: stage, log, narrator, controller.stopper)
        controller.serve()
        switch narrator.outcome {
        case .fine: return
        case .failed: throw ExitCode.no
        case .interrupted:
            StandardError.write("interrupted\n")
            throw ExitCode.no
        }
    }

    /// Starts the proxy, on another free port where somebody else was faster.
    private func begin(_ stage: inout Stage, _ log: DemoLog) throws -> Controller {
        for attempt in 1... {
            if port == nil {
                guard let free = freePort() else { throw ExitCode.cannot }
                stage.port = free
            }
            guard stage.install(stage.configuration(leadingTo: stage.first)) else {
                StandardError.write("cannot write \(stage.path)\n")
                throw ExitCode.cannot
            }
            let options = Controller.Options(path: stage.path, environment: [:], workers: 0)
            do throws(Controller.StartError) {
                let controller = try Controller(options, log.logger)
                try controller.start()
                return controller
            } catch {
                if case .listener = error, port == nil, attempt < Self.attempts { continue }
                throw error.reported()
            }
        }
        throw ExitCode.cannot
    }

    /// The show, on a thread of its own: this one is the proxy's control thread.
    private func perform(
        on stage: Stage, _ log: DemoLog, _ narrator: Narrator, _ stopper: Stopper
    ) {
        let endsAfterwards = once
        stage.first.start()
        stage.second.start()
        startThread {
            narrator.say(Self.introduction(of: stage))
            do throws(Narrator.Interruption) {
                if let show = Show(stage, log, narrator) {
                    try show.run()
                } else {
                    try narrator.fact("the proxy can be reached", problem: "no connection")
                }
                narrator.end()
            } catch {
                return
            }
            if endsAfterwards { return stopper.stop() }
            log.printFromNowOn()
            narrator.say(Self.suggestions(for: stage))
        }
    }

    private static func introduction(of stage: Stage) -> String {
        """
        A proxy and two backends of the echo service in one process, all on 127.0.0.1:
          proxy      port \(stage.port), configured by \(stage.path)
          \(stage.first.name)  port \(stage.first.port)
          \(stage.second.name)  port \(stage.second.port)

        """
    }

    private static func suggestions(for stage: Stage) -> String {
        let target = "127.0.0.1:\(stage.port)"
        let program = CommandLine.arguments.first ?? "weir"
        return """

            It goes on serving. To try, from Weir's folder:

              grpcurl -plaintext -proto protos/echo.proto -d '{"payload": "aGVsbG8="}' \\
                \(target) weir.echo.v1.Echo/Unary
              curl -i --http2-prior-knowledge --data hello http://\(target)/plain/hello
              \(program) explain --config \(stage.path) \\
                --method weir.echo.v1.Echo/Unary

            Change \(stage.path) and save it: the proxy takes it over.
            Ctrl-C ends the demo.
            """
    }
}
