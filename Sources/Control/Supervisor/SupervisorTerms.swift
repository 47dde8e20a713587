public import Wire

/// What a service supervisor told this process in its environment: systemd's variables, which
/// others use as well.
public struct SupervisorTerms: Sendable {
    /// Variables that are for this process alone; `Supervisor` takes them out of the environment.
    static let variables = [
        "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID",
        "LISTEN_FDNAMES",
    ]
    /// The first of the descriptors that are handed over.
    static let firstDescriptor: Int32 = 3
    /// Sockets that are taken over; more are left alone.
    static let socketsMax = 256
    private static let watchdogMicrosecondsMax: UInt64 = 86_400_000_000

    /// Where to say what the process is doing; nil where nobody wants to know.
    public private(set) var notify: SocketAddress?
    /// Nanoseconds within which the process has to say that it lives; nil without a watchdog.
    public private(set) var watchdog: Int64?
    /// The names of the sockets handed over, in the order of their descriptors.
    public private(set) var socketNames: [String] = []
    /// What of it cannot be used, in words.
    public private(set) var problems: [String] = []

    /// What of an environment is for whoever takes the service over from this process: the
    /// supervisor is to hear from that one.
    static func handedOn(_ environment: [String: String]) -> [String: String] {
        let own: Set = ["WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"]
        return environment.filter { !own.contains($0.key) }
    }

    /// Nobody supervises.
    public init() {}

    /// Variables that are meant for another process (a parent's, inherited) count for nothing.
    public init(_ environment: [String: String], processID: Int32) {
        func isMine(_ variable: String) -> Bool { environment[variable] == "\(processID)" }
        if let text = environment["NOTIFY_SOCKET"], !text.isEmpty { readNotify(text) }
        if let text = environment["WATCHDOG_USEC"],
            environment["WATCHDOG_PID"] == nil || isMine("WATCHDOG_PID")
        {
            readWatchdog(text)
        }
        if let text = environment["LISTEN_FDS"], isMine("LISTEN_PID") {
            readSockets(text, names: environment["LISTEN_FDNAMES"] ?? "")
        }
    }

    private mutating func readNotify(_ text: String) {
        guard text.hasPrefix("/") || text.hasPrefix("@"),
            let address = try? SocketAddress(parsing: "unix:\(text)")
        else {
            problems.append("NOTIFY_SOCKET=\(text): expected a path or @name of a unix socket")
            return
        }
        notify = address
    }

    private mutating func readWatchdog(_ text: String) {
        guard let microseconds = UInt64(text) else {
            problems.append("WATCHDOG_USEC=\(text): expected microseconds")
            return
        }
        if microseconds == 0 { return }
        watchdog = Int64(min(microseconds, Self.watchdogMicrosecondsMax)) * 1_000
    }

    private mutating func readSockets(_ text: String, names: String) {
        guard let count = UInt64(text) else {
            problems.append("LISTEN_FDS=\(text): expected a number")
            return
        }
        if count > Self.socketsMax {
            problems.append("LISTEN_FDS=\(text): only \(Self.socketsMax) are taken")
        }
        let given = names.split(separator: ":", omittingEmptySubsequences: false)
        socketNames = (0..<min(Int(clamping: count), Self.socketsMax)).map { index in
            index < given.count && !given[index].isEmpty ? String(given[index]) : "unknown"
        }
    }
}
