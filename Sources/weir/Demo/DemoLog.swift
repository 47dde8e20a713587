internal import Logging
internal import Synchronization

/// The proxy's log: kept during the show, which looks for lines in it, and printed afterwards.
final class DemoLog: Sendable {
    private struct State {
        var lines: [String] = []
        var isPrinting = false
    }

    private let state = Mutex(State())

    var logger: Logger { Logger(label: "weir") { _ in Handler(log: self) } }

    /// The lines since so many.
    func lines(since count: Int) -> [String] {
        state.withLock { Array($0.lines.dropFirst(count)) }
    }

    var count: Int { state.withLock { $0.lines.count } }

    /// Forgets what is kept; from now on lines are printed on standard error.
    func printFromNowOn() {
        state.withLock {
            $0.lines = []
            $0.isPrinting = true
        }
    }

    private func add(_ line: String) {
        let isPrinting = state.withLock { state in
            if !state.isPrinting { state.lines.append(line) }
            return state.isPrinting
        }
        if isPrinting { StandardError.write("weir: \(line)\n") }
    }

    private struct Handler: LogHandler {
        let log: DemoLog
        var logLevel = Logger.Level.notice
        var metadata: Logger.Metadata = [:]

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) { log.add("\(event.level): \(event.message)") }
    }
}
