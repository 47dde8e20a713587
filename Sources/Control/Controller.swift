public import Configuration
public import Logging
internal import Proxy
internal import Rules
internal import Wire

/// The control thread: loads configurations, starts workers, hands them snapshots, listens to
/// signals and writes the log. Nothing here is on a request's path.
///
///     starting -> serving -> draining -> over
///
/// SIGHUP loads again; SIGTERM and SIGINT drain, a second one ends at once.
public final class Controller {
    public struct Options: Sendable {
        /// The file of the program, which a successor is started from; nil where none can be.
        public var program: String?
        public var path: String
        public var environment: [String: String]
        /// 0: one for each core that the process may use.
        public var workers: Int
        public var supervisor: SupervisorTerms
        /// The administration interface of the Weir whose sockets are taken over; empty for the
        /// one that the configuration names, nil where there is none to take over from.
        public var takeover: String?

        public init(
            path: String, environment: [String: String], workers: Int,
            supervisor: SupervisorTerms = SupervisorTerms(), takeover: String? = nil
        ) {
            self.path = path
            self.environment = environment
            self.workers = workers
            self.supervisor = supervisor
            self.takeover = takeover
        }
    }

    public enum StartError: Error {
        case configuration(LoadResult)
        case listener(ListenError)
        case tls(String)
        case threads
        case takeover(TakeoverFailure)
    }

    private static let quietNanoseconds: Int64 = 200_000_000
    /// When files that never rest are read all the same.
    private static let unrestNanoseconds: Int64 = 5_000_000_000
    private static let spreadNanoseconds: Int64 = 1_000_000_000
    private static let endNanoseconds: Int64 = 2_000_000_000
    private static let pollMilliseconds: Int32 = 5_000

    let options: Options
    private let quietLogger: Logger
    /// Weir's own log, at the level that was last asked for.
    var logger: Logger {
        var logger = quietLogger
        logger.logLevel = state.level.value
        return logger
    }
    private let bell: Bell
    private let log: EventLog
    private let signals = Signals()
    private let watch = FileWatch()
    private var workers: [WorkerThread] = []
    private let accessLog: AccessLog
    /// What the process tells of itself over its own ports.
    let state: ProcessState
    var ports: Ports
    private let keyFetcher: KeyFetcher
    private var minter = TokenMinter()
    private let discovery: Discovery
    private var overloadWatch = OverloadWatch()
    private let materials = Materials()
    let inherited: InheritedSockets
    let supervisor: Supervisor
    var resources: SharedResources
    private let renewals: IdentityRenewals
    private(set) var snapshot: Snapshot?
    /// Replaced ones, while workers use them: freeing 100,000 routes is no work for a worker.
    private var replaced: [Snapshot] = []
    /// As the last good configuration says.
    private var watchesFiles = true
    private var changedAt: Int64?
    private var firstChangedAt: Int64 = 0
    private var drainLimit: Int64 = 0
    private(set) var isDraining = false
    /// Until its predecessor goes.
    var takeover: Takeover?
    /// What is served then, if it is not given to the workers yet.
    var held: Installation?
    /// Nil unless the one that was taken over from runs still.
    var predecessorWatch: ProcessWatch?
    /// Told when a successor has its last answer.
    let farewell = Answer<Bool>()
    private var isSucceeded = false
    /// One that was started by this process, until it has ended.
    var successor: SuccessorProcess?
    /// Nothing was taken over after all.
    var takeoverFailure: TakeoverFailure?
    /// Who this process is, to successors.
    let instance = String(UInt64.random(in: .min ... .max), radix: 16)
    /// The newest configuration, until all workers have it.
    private var pending: PendingInstallation?
    /// How the last load ended, for the supervisor.
    private var status = ""
    /// When the process ends in any case.
    private var endBy: Int64?
    /// Ends it from other threads.
    public let stopper: Stopper

    public init(_ options: Options, _ logger: Logger) throws(StartError) {
        let count = options.workers > 0 ? options.workers : Processors.available
        guard let bell = Bell(), let accessLog = AccessLog(workers: count) else { throw .threads }
        self.options = options
        self.accessLog = accessLog
        quietLogger = logger
        self.bell = bell
        SupervisorTerms.clearEnvironment()
        log = EventLog(waker: bell.waker)
        renewals = IdentityRenewals(log)
        keyFetcher = KeyFetcher(waker: bell.waker)
        discovery = Discovery(waker: bell.waker)
        stopper = Stopper(waker: bell.waker)
        state = ProcessState(
            accessLog, stopper, Succession(waker: bell.waker), LogLevel(logger.logLevel),
            options.environment)
        inherited = InheritedSockets(names: options.supervisor.socketNames)
        ports = Ports(state, inherited)
        resources = SharedResources(inherited)
        let notify = options.supervisor.notify.map { NotifySocket($0) }
        supervisor = Supervisor(watchdog: options.supervisor.watchdog) { notify?.send($0) }
        state.change { $0.startedAt = Waiting.nowSince1970() }
    }

    // MARK: Running

    /// Serves until a signal or its stopper ends it.
    public func run() throws(StartError) {
        try start()
        serve()
        if let takeoverFailure { throw .takeover(takeoverFailure) }
    }

    /// Loads the configuration, listens and starts the workers: connections are accepted from now
    /// on, unless sockets are taken over. `serve` is to follow.
    public func start() throws(StartError) {
        Descriptors.raiseLimit()
        // Seen before it is read, so that a change in between is found.
        watch.watch([options.path], readSince: .max)
        let result = load()
        guard let snapshot = result.snapshot else { throw .configuration(result) }
        for problem in options.supervisor.problems { logger.warning("\(problem)") }
        report(result)
        if let path = options.takeover { try beginTakeover(path, snapshot) }
        let installation: Installation
        do { installation = try resources.installation(of: snapshot) } catch {
            switch error {
            case .listening(let error): throw .listener(error)
            case .tls: throw .tls("\(error)")
            }
        }
        try startWorkers()
        let workers = workers
        state.change { $0.workers = workers }
        install(installation, result.sources)
        state.change { $0.reloads = .init() }
        if takeover == nil { reportServing() }
    }

    func reportServing() {
        guard let snapshot else { return }
        let count = workers.count
        logger.notice("serving revision=\(snapshot.revision) workers=\(count) \(summary(snapshot))")
        reportUnusedSockets(snapshot)
    }

    /// Heeds signals and changed files, and writes the log, until all workers have ended.
    public func serve() {
        while !workers.allSatisfy(\.isOver) { wait() }
        if isSucceeded { _ = farewell.value(by: Waiting.now() + Self.endNanoseconds) }
        accessLog.end()
        writeLog()
        reportCounters()
    }

    private func startWorkers() throws(StartError) {
        let loads = WorkerLoads(workers: accessLog.rings.count)
        for (index, ring) in accessLog.rings.enumerated() {
            guard let worker = WorkerThread(index, loads, log, bell, records: ring) else {
                throw .threads
            }
            workers.append(worker)
        }
    }

    private func wait() {
        var milliseconds = Self.pollMilliseconds
        if let changedAt {
            let left = changedAt + Self.quietNanoseconds - Waiting.now()
            milliseconds = Int32(clamping: max(0, left / 1_000_000 + 1))
        }
        if let left = supervisor.untilLook(now: Waiting.now()) {
            milliseconds = min(milliseconds, Int32(clamping: left / 1_000_000 + 1))
        }
        if endBy != nil { milliseconds = min(milliseconds, 100) }
        if !isDraining {
            milliseconds = renewals.milliseconds(atMost: milliseconds, at: AtomicFile.secondsNow())
        }
        if let next = keyFetcher.nextDeadline {
            let left = (next - Waiting.now()) / 1_000_000 + 1
            milliseconds = min(milliseconds, Int32(clamping: max(0, left)))
        }
        if let left = minter.seconds(from: AtomicFile.secondsNow()) {
            milliseconds = min(milliseconds, Int32(clamping: left * 1_000 + 10))
        }
        if let next = discovery.nextDeadline(at: Waiting.now()) {
            let left = (next - Waiting.now()) / 1_000_000 + 1
            milliseconds = min(milliseconds, Int32(clamping: max(0, left)))
        }
        if let left = overloadWatch.left(at: Waiting.now()) {
            milliseconds = min(milliseconds, Int32(clamping: left / 1_000_000 + 1))
        }
        if takeover?.isPreparing == true { milliseconds = min(milliseconds, 100) }
        let descriptors =
            [signals.descriptor, watch.descriptor, bell.descriptor] + discovery.descriptors
            + [takeover == nil ? predecessorWatch?.descriptor : nil, successor?.descriptor]
            .compactMap { $0 }
        Waiting.wait(for: descriptors, milliseconds: milliseconds)
        bell.silence()
        while let signal = signals.next() {
            switch signal {
            case .reload: if !isDraining { reload() }
            case .reopen: accessLog.reopen()
            case .upgrade: upgrade()
            case .terminate: terminate()
            }
        }
        if stopper.isAsked, !isDraining { terminate() }
        // A worker that does not hear must not keep a process that was told twice to end.
        if let endBy, Waiting.now() >= endBy { Waiting.exitAtOnce() }
        lookAtFiles()
        answerSuccessors()
        tellSupervisor()
        lookAtPredecessor()
        lookAtSuccessor()
        renew()
        fetchKeys()
        mintTokens()
        discover()
        if keyFetcher.isSettled, discovery.isSettled { takeover?.isSettled = true }
        proceedWithTakeover()
        lookAtMemory()
        letSnapshotsGo()
        writeLog()
    }

    // MARK: Reloading

    /// A change is loaded once nothing has moved for a while, so that a file which is being
    /// written, or several that belong together, are read whole.
    private func lookAtFiles() {
        watch.silence()
        if isDraining { return }
        let now = Waiting.now()
        if watch.hasMoved() {
            if changedAt == nil { firstChangedAt = now }
            changedAt = now
        }
        guard let changedAt else { return }
        let isQuiet = now >= changedAt + Self.quietNanoseconds
        if isQuiet || now >= firstChangedAt + Self.unrestNanoseconds { reload() }
    }

    /// Identities due are renewed; their files are found changed like any others.
    private func renew() {
        if isDraining { return }
        if renewals.look(at: AtomicFile.secondsNow()), !watchesFiles { reload() }
    }

    private func fetchKeys() {
        let (keys, words) = keyFetcher.turn(at: Waiting.now())
        for line in words { logger.notice("\(line)") }
        guard let keys else { return }
        show(keys)
        for worker in workers { worker.mailbox.post(.keys(keys)) }
    }

    /// To whoever asks over the ports.
    private func show(_ keys: TokenKeys) {
        let sets = keys.entries.compactMapValues(\.set)
        state.change { $0.keys = sets }
    }

    /// While draining too: those who wait for a server are served by whatever is found.
    private func discover() {
        let news = discovery.turn(at: Waiting.now())
        for (level, words) in news.lines { logger.log(level: level.loggerLevel, "\(words)") }
        if news.hasFacts { showDiscovery() }
        guard let endpoints = news.endpoints else { return }
        for worker in workers { worker.mailbox.post(.endpoints(endpoints)) }
    }

    private func lookAtMemory() {
        let (stage, words) = overloadWatch.turn(at: Waiting.now())
        let figures = overloadWatch.figures
        state.change { $0.memory = figures }
        if let words {
            logger.log(level: stage == OverloadStage.none ? .notice : .warning, "\(words)")
        }
        guard let stage else { return }
        for worker in workers { worker.mailbox.post(.overload(stage)) }
    }

    private func showDiscovery() {
        let (facts, isSettled) = (discovery.facts, discovery.isSettled)
        state.change {
            $0.discovery = facts
            $0.isSettled = isSettled
        }
    }

    /// While draining too: streams that are open already may still begin calls.
    private func mintTokens() {
        let (tokens, words) = minter.turn(
            at: AtomicFile.secondsNow(), chance: .random(in: 0 ... .max))
        for line in words { logger.error("\(line)") }
        guard let tokens else { return }
        for worker in workers { worker.mailbox.post(.attach(tokens)) }
    }

    private func load() -> LoadResult {
        changedAt = nil
        let began = Waiting.nowSince1970()
        let result = ConfigurationLoader.load(
            path: options.path, environment: options.environment, materials: materials)
        if result.snapshot != nil { watchesFiles = result.watchesFiles }
        watch.watch(watchesFiles ? result.files : [], readSince: began)
        return result
    }

    private func reload() {
        supervisor.reloading(now: Waiting.now())
        loadAgain()
        if pending == nil, takeover == nil { supervisor.ready(status) }
    }

    private func loadAgain() {
        let result = load()
        report(result)
        guard let next = result.snapshot else {
            logger.error("reload refused, revision \(snapshot?.revision ?? "") stays")
            return refused(result.diagnostics.lines(omitted: result.omitted))
        }
        if next.revision == snapshot?.revision {
            discovery.readFiles(at: Waiting.now())
            state.change {
                $0.reloads.unchanged += 1
                $0.lastErrors = []
            }
            status = serving(next)
            return logger.info("reload: nothing changed")
        }
        do {
            install(try resources.installation(of: next), result.sources)
            logger.notice("reloaded revision=\(next.revision) \(summary(next))")
        } catch {
            logger.error("reload refused, revision \(snapshot?.revision ?? "") stays: \(error)")
            refused(["\(error)"])
        }
    }

    private func refused(_ errors: [String]) {
        status = "reload refused, revision \(snapshot?.revision ?? "") stays"
        state.change {
            $0.reloads.refused += 1
            $0.lastErrors = Array(errors.prefix(20))
        }
    }

    private func install(_ installation: Installation, _ sources: [Source]) {
        if let snapshot { replaced.append(snapshot) }
        snapshot = installation.snapshot
        renewals.follow(installation.snapshot.renewed)
        if !accessLog.install(installation.snapshot.telemetry.accessLog, log) {
            logger.error("no thread is left for the access log")
        }
        state.change {
            $0.snapshot = installation.snapshot
            $0.sources = installation.snapshot.telemetry.admin == nil ? [] : sources
            $0.connections = installation.sockets.map(\.connections)
            $0.counts = installation.counts
            $0.buckets = installation.buckets
            $0.loadedAt = Waiting.nowSince1970()
            $0.lastErrors = []
            $0.reloads.installed += 1
        }
        // Who asks there is answered by the predecessor while there is one.
        if takeover == nil { openPorts(installation.snapshot) }
        let drains = installation.snapshot.listeners.map(\.timeouts.drain)
        drainLimit = drains.contains(0) ? 0 : drains.max() ?? 0
        status = serving(installation.snapshot)
        let keys = keyFetcher.install(installation.snapshot.tokens, at: Waiting.now())
        show(keys)
        minter.want(installation.snapshot.upstreams.compactMap { $0.proof.token?.minting })
        mintTokens()
        overloadWatch.install(installation.snapshot.overload)
        let endpoints = discovery.install(
            installation.snapshot.upstreams, watchesFiles: watchesFiles, at: Waiting.now())
        showDiscovery()
        for worker in workers {
            // Before the configuration that needs them.
            worker.mailbox.post(.keys(keys))
            worker.mailbox.post(.endpoints(endpoints))
        }
        if takeover?.isPreparing == true { held = installation } else { release(installation) }
    }

    /// Gives it to the workers, which accept from then on.
    func release(_ installation: Installation) {
        let log = log
        let pending = PendingInstallation(workers: workers.count, waker: bell.waker)
        self.pending = pending
        for worker in workers {
            let message = Mailbox.Message.install(installation) { report in
                pending.arrived()
                let microseconds = report.nanoseconds / 1_000
                log.write(.debug, "installed revision=\(report.revision) us=\(microseconds)")
            }
            worker.mailbox.post(message)
        }
    }

    func openPorts(_ snapshot: Snapshot) {
        for failure in ports.install(snapshot.telemetry) { logger.error("\(failure)") }
    }

    /// Drops the last reference to each snapshot that no worker uses any more.
    private func letSnapshotsGo() {
        for index in replaced.indices.reversed()
        where isKnownUniquelyReferenced(&replaced[index]) {
            replaced.remove(at: index)
        }
    }

    private func summary(_ snapshot: Snapshot) -> String {
        let listeners = snapshot.listeners.map { "\($0.name)=\($0.address)" }
        return "routes=\(snapshot.routes.count) upstreams=\(snapshot.upstreams.count) "
            + "listeners=\(listeners.joined(separator: ","))"
    }

    // MARK: Supervision

    private func tellSupervisor() {
        if pending?.isOver == true {
            pending = nil
            finishTakeover()
            if !isDraining { supervisor.ready(status) }
        }
        guard let stalled = supervisor.look(now: Waiting.now(), workers) else { return }
        for index in stalled { logger.error("watchdog: worker \(index) does not turn") }
    }

    private func serving(_ snapshot: Snapshot) -> String {
        "serving revision \(snapshot.revision): \(snapshot.routes.count) routes, "
            + "\(snapshot.upstreams.count) upstreams"
    }

    /// Whoever connects to a socket that was handed over for nothing would wait for ever.
    private func reportUnusedSockets(_ snapshot: Snapshot) {
        let ports = [snapshot.telemetry.metrics, snapshot.telemetry.admin].compactMap { $0 }
        let used = Set(snapshot.listeners.map(\.address) + ports)
        for line in inherited.unused(by: used) { logger.warning("\(line)") }
    }

    // MARK: Ending

    /// - successor: the process that has the sockets from now on; its number is 0 where it is out
    ///   of sight.
    func terminate(successor: Int32? = nil) {
        guard !isDraining else {
            logger.notice("ending at once")
            for worker in workers { worker.mailbox.post(.stop) }
            if endBy == nil { endBy = Waiting.now() + Self.endNanoseconds }
            return
        }
        isDraining = true
        state.change { $0.isDraining = true }
        stopper.draining()
        if let successor {
            logger.notice("succeeded by pid=\(successor), draining")
            isSucceeded = true
            ports.leave()
        } else {
            logger.notice("draining")
        }
        if let successor, Processors.areShared(with: successor) {
            supervisor.succeeded(by: successor)
        } else {
            supervisor.stopping(limit: drainLimit)
        }
        resources = SharedResources(inherited)
        // A tenth of the time for asking, so that not all clients come back elsewhere at once.
        let longest = Self.spreadNanoseconds
        let spread = drainLimit > 0 ? min(drainLimit / 10, longest) : longest
        for worker in workers {
            worker.mailbox.post(.drain(spread: spread, limit: drainLimit))
        }
    }

    // MARK: Log

    private func report(_ result: LoadResult) {
        for line in result.diagnostics.lines(omitted: result.omitted) {
            result.snapshot == nil ? logger.error("\(line)") : logger.warning("\(line)")
        }
    }

    private func writeLog() {
        let (entries, dropped) = log.take()
        for entry in entries { logger.log(level: entry.level.loggerLevel, "\(entry.message)") }
        if dropped > 0 { logger.warning("log lines dropped: \(dropped)") }
    }

    private func reportCounters() {
        var totals: [(name: String, count: UInt64)] = []
        for worker in workers {
            for (name, count) in worker.counters.nonZero {
                if let index = totals.firstIndex(where: { $0.name == name }) {
                    totals[index].count += count
                } else {
                    totals.append((name, count))
                }
            }
        }
        if accessLog.dropped > 0 { totals.append(("access_log_dropped", accessLog.dropped)) }
        let words = totals.map { "\($0.name)=\($0.count)" }
        logger.notice("ended \(words.joined(separator: " "))")
    }
}

extension EventLog.Level {
    fileprivate var loggerLevel: Logger.Level {
        switch self {
        case .debug: .debug
        case .info: .info
        case .notice: .notice
        case .warning: .warning
        case .error: .error
        }
    }
}
