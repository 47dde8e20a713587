internal import ArgumentParser
internal import Control
internal import Peers

/// `weir demo`: a small mesh in one process: an authority, backends, the proxy and its callers.
struct Demo: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Shows what Weir does, in a mesh of its own.",
        discussion: """
            Makes an authority, certificates and a token, and calls through a proxy that asks for \
            them; changes routes, rules, certificates and the root while calls run, and says what \
            happened; then it goes on and prints commands to try.
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
        guard let first = EchoServer(name: Mesh.Member.backendA.rawValue),
            let second = EchoServer(name: Mesh.Member.backendB.rawValue),
            let folder = TemporaryFolder(name: "weir-demo")
        else {
            StandardError.write("no ports, or no folder for temporary files\n")
            throw ExitCode.cannot
        }
        defer { folder.remove() }
        let stage: Stage
        do throws(CommandFailure) {
            stage = try Stage(first, second, folder, port: port ?? 0)
        } catch {
            StandardError.write("\(error.place): \(error.words)\n")
            throw ExitCode.cannot
        }
        try perform(on: stage)
    }

    private func perform(on stage: Stage) throws {
        var stage = stage
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
            narrator.say(stage.introduction)
            do throws(Narrator.Interruption) {
                try Show(stage, log, narrator).run()
                narrator.end()
            } catch {
                return
            }
            if endsAfterwards { return stopper.stop() }
            log.printFromNowOn()
            narrator.say(stage.suggestions(CommandLine.arguments.first ?? "weir"))
        }
    }
}
