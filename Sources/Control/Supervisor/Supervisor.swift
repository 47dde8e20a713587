internal import Proxy

/// Tells the service supervisor what the process does, in the words of systemd's `sd_notify`:
/// when it is ready, reloads and ends, and that it lives.
final class Supervisor {
    /// A look at the workers; there are four within the time that the supervisor allows, so that
    /// one may come late.
    private static let looksPerWatchdog: Int64 = 4
    /// What a drain may take beyond its own limit.
    private static let spareNanoseconds: Int64 = 5_000_000_000

    private let send: (String) -> Void
    private let lookNanoseconds: Int64?
    private var heartbeat = Heartbeat()
    private var looksAt: Int64 = .min
    /// Another process speaks for the service.
    private var isSucceeded = false

    /// - send: takes a message, lines of `NAME=value`. - watchdog: as in `SupervisorTerms`.
    init(watchdog: Int64?, send: @escaping (String) -> Void) {
        self.send = send
        lookNanoseconds = watchdog.map { max($0 / Self.looksPerWatchdog, 1_000_000) }
    }

    /// All workers serve by the newest configuration.
    func ready(_ status: String) { send("READY=1\nSTATUS=\(status)") }

    /// The configuration is loaded again; `ready` follows in any case.
    func reloading(now: Int64) {
        send("RELOADING=1\nMONOTONIC_USEC=\(now / 1_000)\nSTATUS=reloading")
    }

    /// - limit: nanoseconds after which the drain is over in any case; 0 is never.
    func stopping(limit: Int64) {
        var message = "STOPPING=1\nSTATUS=draining"
        if limit > 0 {
            let (time, overflow) = limit.addingReportingOverflow(Self.spareNanoseconds)
            message += "\nEXTEND_TIMEOUT_USEC=\((overflow ? limit : time) / 1_000)"
        }
        send(message)
    }

    /// The service goes on in another process, which says the rest. This one says who, as a
    /// supervisor may listen to the service's main process alone.
    func succeeded(by processID: Int32) {
        send("MAINPID=\(processID)\nSTATUS=a successor serves")
        isSucceeded = true
    }

    // MARK: Watchdog

    /// Nanoseconds until `look` wants to be called; nil is never.
    func untilLook(now: Int64) -> Int64? {
        guard lookNanoseconds != nil, !isSucceeded else { return nil }
        return looksAt == .min ? 0 : max(0, looksAt - now)
    }

    /// Says that the process lives if all workers turned since the last look; does nothing before
    /// it is time for one. Gives the positions of those that did not; nil where it did not look.
    func look(now: Int64, _ workers: [WorkerThread]) -> [Int]? {
        guard let lookNanoseconds, !isSucceeded, now >= looksAt else { return nil }
        looksAt = now + lookNanoseconds
        let turns = workers.map { $0.isOver ? nil : $0.counters.turnCount }
        let stalled = heartbeat.stalled(turns)
        if stalled == [] { send("WATCHDOG=1") }
        for worker in workers { worker.mailbox.nudge() }
        return stalled
    }
}
