import Proxy

/// The access log of a simulated proxy: one line for each exchange, whatever becomes of it.
final class RecordedExchanges {
    /// One for each worker.
    let rings: [RecordRing]
    private let buffer = LineBuffer(capacity: 64 << 10)
    private let formatter: AccessLogFormatter
    private var counts: [Int]
    private var seen: Set<String> = []
    private(set) var faults: [String] = []

    init(workers: Int) {
        rings = (0..<workers).map { _ in RecordRing() }
        formatter = AccessLogFormatter(rings, buffer)
        counts = [Int](repeating: 0, count: workers)
    }

    /// Looks at what was logged since.
    func look() {
        while rings.contains(where: { !$0.isEmpty }) {
            formatter.take(now: (0, 0))
            for line in buffer.takeText().split(separator: "\n") { look(at: String(line)) }
        }
    }

    private func look(at line: String) {
        guard let connection = Self.value(of: "connection", in: line),
            let stream = Self.value(of: "stream", in: line),
            let worker = connection.split(separator: "-").first.flatMap({ Int($0) })
        else { return faults.append("the log has a line without its stream: \(line)") }
        counts[worker] += 1
        if !seen.insert("\(connection) \(stream)").inserted {
            faults.append("the log has a second line for a stream: \(line)")
        }
        if line.contains("\"reason\":\"open\"") || line.contains("\"reason\":\"\"") {
            faults.append("the log has a line without a reason: \(line)")
        }
    }

    /// What is wrong when all exchanges of a worker have ended, in words.
    func faults(worker: Int, exchanges: UInt64) -> [String] {
        look()
        if UInt64(counts[worker]) == exchanges, rings[worker].dropped == 0 { return [] }
        let dropped = rings[worker].dropped
        return ["worker \(worker) logged \(counts[worker]) of \(exchanges), dropped \(dropped)"]
    }

    private static func value(of key: String, in line: String) -> String? {
        guard let range = line.firstRange(of: "\"\(key)\":") else { return nil }
        return String(
            line[range.upperBound...].prefix { $0 != "," && $0 != "}" }.filter { $0 != "\"" })
    }
}
