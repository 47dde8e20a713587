internal import Configuration
internal import Proxy
internal import Synchronization

/// The access log as the control thread knows it: a thread of its own makes lines of what workers
/// put into their rings, and writes them.
final class AccessLog: Sendable {
    /// What the thread is told.
    struct Orders {
        /// Terms that are new; nil inside is none.
        var terms: AccessLogTerms??
        var reopens = false
        var ends = false
    }

    /// How long a process that ends waits for its lines.
    static let endNanoseconds: Int64 = 2_000_000_000

    /// One for each worker.
    let rings: [RecordRing]
    private let bell: Bell
    private let orders = Mutex(Orders())
    private let state = Atomic<State>(.idle)

    private enum State: UInt8, AtomicRepresentable { case idle, running, over }

    /// Nil where the process has no descriptor left.
    init?(workers: Int) {
        guard let bell = Bell() else { return nil }
        self.bell = bell
        rings = (0..<workers).map { _ in RecordRing(waker: bell.waker) }
    }

    /// Records that found no room in a ring.
    var dropped: UInt64 { rings.reduce(0) { $0 + $1.dropped } }

    /// Takes new terms over; nil is no log. The thread is started for the first. False where there
    /// is no thread for it.
    func install(_ terms: AccessLogTerms?, _ log: EventLog) -> Bool {
        if state.load(ordering: .acquiring) == .idle {
            guard terms != nil else { return true }
            state.store(.running, ordering: .releasing)
            let loop = SendableStart(self, log)
            guard Thread.start({ loop.run() }) else {
                state.store(.idle, ordering: .releasing)
                return false
            }
        }
        orders.withLock { $0.terms = .some(terms) }
        bell.waker.ring()
        return true
    }

    /// Opens the file anew: it was renamed.
    func reopen() {
        orders.withLock { $0.reopens = true }
        bell.waker.ring()
    }

    /// Writes what is left, for as long as that may take, and ends. Workers have ended.
    func end() {
        guard state.load(ordering: .acquiring) == .running else { return }
        orders.withLock { $0.ends = true }
        bell.waker.ring()
        let limit = Waiting.now() + Self.endNanoseconds
        while state.load(ordering: .acquiring) == .running, Waiting.now() < limit {
            Waiting.wait(for: [], milliseconds: 5)
        }
    }

    // MARK: For its thread

    fileprivate func isOver() { state.store(.over, ordering: .releasing) }

    fileprivate func takeOrders() -> Orders {
        orders.withLock { orders in
            defer { orders = Orders() }
            return orders
        }
    }

    /// Waits for orders or, with `untilRecords`, for a record.
    fileprivate func wait(milliseconds: Int32, untilRecords: Bool) {
        defer { bell.silence() }
        guard untilRecords else {
            return Waiting.wait(for: [bell.descriptor], milliseconds: milliseconds)
        }
        let isQuiet = rings.reduce(true) { $1.await() && $0 }
        if isQuiet { Waiting.wait(for: [bell.descriptor], milliseconds: milliseconds) }
        for ring in rings { ring.stopAwaiting() }
    }

    /// What the new thread begins with.
    private struct SendableStart: Sendable {
        let accessLog: AccessLog
        let log: EventLog

        init(_ accessLog: AccessLog, _ log: EventLog) {
            self.accessLog = accessLog
            self.log = log
        }

        func run() {
            let writer = AccessLogWriter(accessLog, log)
            while writer.turn() {}
            accessLog.isOver()
        }
    }
}

/// What the access log's thread does: takes records while its buffer has room, and writes while the
/// file takes lines. Whichever of the two stands still, no worker waits: rings fill up, and then
/// drop.
private final class AccessLogWriter {
    private static let bufferBytes = 256 << 10
    /// How long records gather before they are looked at, and thus the least time between two
    /// wake-ups by a worker.
    private static let gatherMilliseconds: Int32 = 10
    private static let retryNanoseconds: Int64 = 1_000_000_000
    private static let quietNanoseconds: Int64 = 60_000_000_000
    private static let idleMilliseconds: Int32 = 60_000

    private let accessLog: AccessLog
    private let log: EventLog
    private let buffer = LineBuffer(capacity: AccessLogWriter.bufferBytes)
    private let formatter: AccessLogFormatter
    private var file: LogFile?
    /// When a file that failed is tried again, and when it is looked at whether it has a name.
    private var retryAt: Int64 = 0
    private var lookAt: Int64 = 0
    private var errorQuietUntil: Int64 = .min
    private var dropQuietUntil: Int64 = .min
    private var droppedTold: UInt64 = 0
    private var endBy: Int64?

    init(_ accessLog: AccessLog, _ log: EventLog) {
        self.accessLog = accessLog
        self.log = log
        formatter = AccessLogFormatter(accessLog.rings, buffer)
    }

    /// False when it is told to end and nothing is left to do.
    func turn() -> Bool {
        obey(accessLog.takeOrders())
        let before = formatter.lines
        buffer.compact()
        formatter.take(now: (Waiting.now(), Waiting.nowSince1970()))
        if file == nil { buffer.removeAll() }
        let isFlowing = write()
        tellDrops()
        let isEmpty = buffer.count == 0 && accessLog.rings.allSatisfy(\.isEmpty)
        if let endBy, isEmpty || Waiting.now() >= endBy { return false }
        if !isFlowing {
            // It waits for the disk or for a reader, not for records.
            accessLog.wait(milliseconds: endBy == nil ? 100 : 5, untilRecords: false)
        } else if formatter.lines != before || !isEmpty {
            let isEnding = endBy != nil
            accessLog.wait(
                milliseconds: isEnding ? 0 : Self.gatherMilliseconds, untilRecords: false)
        } else {
            accessLog.wait(milliseconds: Self.idleMilliseconds, untilRecords: true)
        }
        return true
    }

    private func obey(_ orders: AccessLog.Orders) {
        if let terms = orders.terms { take(terms) }
        if orders.reopens, let file {
            leave(file)
            open(file)
        }
        if orders.ends, endBy == nil { endBy = Waiting.now() + AccessLog.endNanoseconds }
    }

    private func take(_ terms: AccessLogTerms?) {
        if let file, terms?.target != file.target {
            leave(file)
            file.close()
            self.file = nil
        }
        guard let terms else { return }
        formatter.format = terms.format
        guard file == nil else { return }
        errorQuietUntil = .min
        let next = LogFile(terms.target)
        file = next
        open(next)
    }

    /// Writes what belongs to the file that is about to be left. The rest of a line that it does
    /// not take is nothing for the next file.
    private func leave(_ file: LogFile) {
        if file.isOpen { _ = written(file.write(buffer), file) }
        if buffer.isMidLine { buffer.dropLine() }
    }

    private func open(_ file: LogFile) {
        lookAt = Waiting.now() + Self.retryNanoseconds
        if let errno = file.open() { failed(file, errno, "cannot be opened") }
    }

    /// True where the file takes lines.
    private func write() -> Bool {
        guard let file else { return true }
        if buffer.count == 0 { return true }
        let now = Waiting.now()
        if !file.isOpen {
            if now < retryAt { return false }
            open(file)
            if !file.isOpen { return false }
        } else if now >= lookAt {
            lookAt = now + Self.retryNanoseconds
            if file.isDeleted { open(file) }
        } else if now < retryAt {
            return false
        }
        return file.isOpen && written(file.write(buffer), file)
    }

    private func written(_ outcome: LogFile.Written, _ file: LogFile) -> Bool {
        switch outcome {
        case .some: return true
        case .blocked: return false
        case .failed(let errno):
            failed(file, errno, "cannot be written")
            return false
        }
    }

    private func failed(_ file: LogFile, _ errno: Int32, _ what: String) {
        let now = Waiting.now()
        retryAt = now + Self.retryNanoseconds
        // A full disk may get room; whatever else it is, the path may name something better now.
        if !LogFile.isLackOfRoom(errno) { file.close() }
        guard now >= errorQuietUntil else { return }
        errorQuietUntil = now + Self.quietNanoseconds
        log.write(.error, "access log \(file.target) \(what): \(LogFile.words(errno))")
    }

    private func tellDrops() {
        let dropped = accessLog.dropped
        guard dropped > droppedTold else { return }
        let now = Waiting.now()
        guard now >= dropQuietUntil || endBy != nil else { return }
        dropQuietUntil = now + Self.quietNanoseconds
        log.write(.warning, "access log records dropped: \(dropped - droppedTold)")
        droppedTold = dropped
    }
}
