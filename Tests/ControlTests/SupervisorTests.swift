import Testing
import Wire

@testable import Control

@Suite struct SupervisorTests {
    @Test(
        "the notify socket is a path or an abstract name",
        arguments: [
            ("/run/systemd/notify", "unix:/run/systemd/notify"),
            ("@notify", "unix:@notify"), ("", nil),
        ] as [(String, String?)])
    func notify(text: String, address: String?) {
        let terms = SupervisorTerms(["NOTIFY_SOCKET": text], processID: 7)
        #expect(terms.notify?.description == address)
        #expect(terms.problems == [])
    }

    @Test(
        "what cannot be used is named",
        arguments: [
            ["NOTIFY_SOCKET": "vsock:2:1234"], ["NOTIFY_SOCKET": "run/notify"],
            ["NOTIFY_SOCKET": "/" + String(repeating: "a", count: 200)],
            ["WATCHDOG_USEC": "soon"], ["WATCHDOG_USEC": "-1"],
            ["LISTEN_FDS": "all", "LISTEN_PID": "7"],
            ["LISTEN_FDS": "99999999999999999999", "LISTEN_PID": "7"],
        ])
    func problems(environment: [String: String]) {
        let terms = SupervisorTerms(environment, processID: 7)
        #expect(terms.problems.count == 1)
        #expect(terms.notify == nil && terms.watchdog == nil && terms.socketNames == [])
    }

    @Test(
        "a watchdog counts for the process that it names",
        arguments: [
            ("30000000", "7", 30_000_000_000), ("30000000", nil, 30_000_000_000),
            ("30000000", "8", nil), ("0", "7", nil),
            ("18446744073709551615", "7", 86_400_000_000_000),
        ] as [(String, String?, Int64?)])
    func watchdog(microseconds: String, process: String?, nanoseconds: Int64?) {
        var environment = ["WATCHDOG_USEC": microseconds]
        environment["WATCHDOG_PID"] = process
        let terms = SupervisorTerms(environment, processID: 7)
        #expect(terms.watchdog == nanoseconds)
    }

    @Test(
        "sockets count for the process that they were handed to, each with a name",
        arguments: [
            ("2", "7", "web:admin", ["web", "admin"]), ("2", "7", "web", ["web", "unknown"]),
            ("2", "7", ":b:c", ["unknown", "b"]), ("1", "8", "web", []), ("0", "7", "", []),
        ])
    func sockets(count: String, process: String, names: String, expected: [String]) {
        let environment = ["LISTEN_FDS": count, "LISTEN_PID": process, "LISTEN_FDNAMES": names]
        #expect(SupervisorTerms(environment, processID: 7).socketNames == expected)
    }

    @Test("no more sockets are taken than a bound allows")
    func manySockets() {
        let terms = SupervisorTerms(["LISTEN_FDS": "5000", "LISTEN_PID": "7"], processID: 7)
        #expect(terms.socketNames.count == SupervisorTerms.socketsMax)
        #expect(terms.problems == ["LISTEN_FDS=5000: only 256 are taken"])
    }

    @Test("messages are those of sd_notify")
    func messages() {
        var sent: [String] = []
        let supervisor = Supervisor(watchdog: nil) { sent.append($0) }
        supervisor.ready("serving")
        supervisor.reloading(now: 5_000_001_999)
        supervisor.stopping(limit: 30_000_000_000)
        supervisor.stopping(limit: 0)
        supervisor.stopping(limit: .max)
        #expect(
            sent == [
                "READY=1\nSTATUS=serving", "RELOADING=1\nMONOTONIC_USEC=5000001\nSTATUS=reloading",
                "STOPPING=1\nSTATUS=draining\nEXTEND_TIMEOUT_USEC=35000000",
                "STOPPING=1\nSTATUS=draining",
                "STOPPING=1\nSTATUS=draining\nEXTEND_TIMEOUT_USEC=9223372036854775",
            ])
    }

    @Test("looks come four times within the watchdog's time, and never without one")
    func looks() {
        let quiet = Supervisor(watchdog: nil) { _ in }
        #expect(quiet.untilLook(now: 0) == nil)
        #expect(quiet.look(now: 0, []) == nil)
        let supervisor = Supervisor(watchdog: 4_000_000_000) { _ in }
        #expect(supervisor.untilLook(now: 10) == 0)
        _ = supervisor.look(now: 10, [])
        #expect(supervisor.untilLook(now: 10) == 1_000_000_000)
        #expect(supervisor.untilLook(now: 5_000_000_000) == 0)
    }

    @Test("who was succeeded names the successor, and feeds the watchdog no more")
    func succeeded() {
        var sent: [String] = []
        let supervisor = Supervisor(watchdog: 4_000_000_000) { sent.append($0) }
        supervisor.succeeded(by: 7)
        #expect(supervisor.untilLook(now: 5_000_000_000) == nil)
        #expect(supervisor.look(now: 5_000_000_000, []) == nil)
        #expect(sent == ["MAINPID=7\nSTATUS=a successor serves"])
    }

    @Test("a worker that did not turn between two looks stalls; one that has ended does not")
    func heartbeat() {
        var heartbeat = Heartbeat()
        #expect(heartbeat.stalled([1, 1, nil]) == nil)
        #expect(heartbeat.stalled([2, 2, nil]) == [])
        #expect(heartbeat.stalled([3, 2, nil]) == [1])
        #expect(heartbeat.stalled([3, 2, nil]) == [0, 1])
        #expect(heartbeat.stalled([4, nil, nil]) == [])
    }
}
