public import Wire

/// A simulated world: one clock, one source of chance, a network, and whoever lives in it.
///
/// Everything that happens is an event in a queue or a worker's turn, and the seed decides the
/// order, so that one seed is always one history.
public final class World {
    static let connectionReset: Int32 = 104
    static let connectionRefused: Int32 = 111
    static let addressUnavailable: Int32 = 99

    public let seed: UInt64
    public private(set) var now = World.begin
    public let trace = Trace()
    var chance: Chance
    /// What is spoken on the two hops; the scenario says.
    var clientsSpeakTLS = false
    var originsSpeakTLS = false
    /// What a balancer between clients and the proxy says first.
    var proxyProtocol: ProxyHeader.Version?
    var retry: RetryPlan?
    var features = Features()
    /// What the proxy did at its other side.
    let sightings = Sightings()
    static let begin: Int64 = 1_000_000_000
    /// Where there is no proxy nobody refuses anybody.
    var showsLastingCertificates = false
    /// Connections whose TLS failed, and by what one end had shown.
    private(set) var refusals: [Refusal] = []
    private var events = EventQueue()
    private var systems: [SimulatedSystem] = []
    private var connections = 0
    private var sockets: [SimulatedSocket] = []

    /// The proxy's descriptors: the lowest free number is the next, as in a process.
    var descriptors: [Descriptor?] = [nil, nil, nil]
    /// While true, accepting and connecting find no free descriptor.
    public var lacksDescriptors = false
    /// Whether the servers at an address take connections; decided for each attempt.
    var reachable: (SocketAddress) -> Reachability = { _ in .refused }
    /// Where there is no proxy: takes what clients dial.
    var directDoor: ((SimulatedSocket) -> Void)?
    /// What went wrong, in words; a simulation without any is a pass.
    public private(set) var violations: [String] = []
    /// Turns in a row in which no worker did anything.
    private var idleTurns = 0
    public private(set) var turns = 0

    /// What an open descriptor of the proxy is.
    final class Descriptor {
        enum Use { case listener(Listener), stream(SimulatedSocket) }
        let use: Use
        var tag: PollTagWord?
        var system: SimulatedSystem?
        var isListed = false
        init(_ use: Use) { self.use = use }
    }

    typealias PollTagWord = UInt64

    enum Reachability {
        case refused
        case unreachable
        /// Nothing answers.
        case silent
        case accepts(Link, accepted: (SimulatedSocket) -> Void)
    }

    public init(seed: UInt64) {
        self.seed = seed
        chance = Chance(seed: seed)
        // Made by whichever world is the first, and not with its random numbers.
        _ = Mesh.shared
        SeededRandom.begin(seed: seed)
    }

    /// Ends that hold each other are let go.
    public func end() {
        SeededRandom.end()
        for socket in sockets { socket.forget() }
        events.removeAll()
        // Each holds its worker, which holds it; one that still has connections is not freed.
        if violations.isEmpty { for system in systems { system.leave() } }
        systems = []
        descriptors = []
        sightings.forget()
    }

    public func fail(_ text: String) {
        trace.note(now, "violation", violations.count)
        if violations.count < 20 { violations.append("\(now / 1000)us: \(text)") }
    }

    public func after(_ delay: Int64, _ action: @escaping () -> Void) {
        events.add(at: now + max(0, delay), action)
    }

    struct Refusal {
        let connection: Int
        let credential: Mesh.Credential?
        let since: Int64
        let at: Int64
    }

    /// Whether that was right is judged at the end, when it is known what the proxy was told.
    func noteRefusal(of credential: Mesh.Credential?, connection: Int, since: Int64) {
        refusals.append(
            Refusal(connection: connection, credential: credential, since: since, at: now))
    }

    /// Gives its number.
    func add(_ system: SimulatedSystem) -> Int {
        systems.append(system)
        return systems.count - 1
    }

    // MARK: The network

    /// A server side's door.
    final class Listener {
        let address: SocketAddress
        var waiting: [(SimulatedSocket, from: SocketAddress)] = []
        var isOpen = true
        init(_ address: SocketAddress) { self.address = address }

        /// As the kernel: whoever was not accepted is reset.
        func close() {
            isOpen = false
            for (socket, _) in waiting { socket.reset() }
            waiting = []
        }
    }

    /// Closes a listening socket of the proxy.
    func closeListener(_ descriptor: Int32) {
        guard descriptors.indices.contains(Int(descriptor)),
            case .listener(let listener) = descriptors[Int(descriptor)]?.use
        else { return fail("close of descriptor \(descriptor), which does not listen") }
        descriptors[Int(descriptor)] = nil
        listener.close()
    }

    /// Opens a listening socket of the proxy.
    public func listen(_ address: SocketAddress) -> Int32 {
        open(Descriptor(.listener(Listener(address))))
    }

    func open(_ descriptor: Descriptor) -> Int32 {
        for index in 3..<max(3, descriptors.count) where descriptors[index] == nil {
            descriptors[index] = descriptor
            return Int32(index)
        }
        descriptors.append(descriptor)
        return Int32(descriptors.count - 1)
    }

    /// Descriptors that the proxy holds for connections.
    public var openStreams: Int {
        descriptors.reduce(0) {
            if case .stream = $1?.use { $0 + 1 } else { $0 }
        }
    }

    func makePair(_ link: Link) -> (client: SimulatedSocket, server: SimulatedSocket) {
        connections += 1
        let client = SimulatedSocket(
            self, connection: connections, isServerSide: false, link: link)
        let server = SimulatedSocket(self, connection: connections, isServerSide: true, link: link)
        client.pair(with: server)
        sockets.append(client)
        return (client, server)
    }

    /// A client outside of the proxy connects to it; the socket fails if nobody listens there.
    func dial(_ address: SocketAddress, from source: SocketAddress, _ link: Link) -> SimulatedSocket
    {
        let pair = makePair(link)
        after(chance.within(link.delay)) { [self] in
            if let directDoor {
                directDoor(pair.server)
                return pair.client.becomeConnected()
            }
            guard let listener = listener(at: address) else {
                return pair.client.fail(Self.connectionRefused)
            }
            trace.note(now, "dialled", pair.client.connection)
            listener.waiting.append((pair.server, source))
            pair.client.becomeConnected()
        }
        return pair.client
    }

    private func listener(at address: SocketAddress) -> Listener? {
        for descriptor in descriptors {
            if case .listener(let listener) = descriptor?.use, listener.isOpen,
                listener.address == address
            {
                return listener
            }
        }
        return nil
    }

    // MARK: The passing of time

    /// Runs until nothing happens any more, or until `limit`; gives whether the world is quiet.
    @discardableResult
    public func run(until limit: Int64) -> Bool {
        while violations.isEmpty {
            guard let time = nextTime else { return true }
            if time > limit {
                now = max(now, limit)
                return false
            }
            now = max(now, time)
            step()
        }
        return false
    }

    private var nextTime: Int64? {
        var time = events.nextTime ?? .max
        for system in systems { time = min(time, system.turnDue) }
        return time == .max ? nil : time
    }

    /// A history that goes on and on is found out, rather than ended by want of memory.
    private static let connectionsMax = 5_000
    private static let stepsMax = 3_000_000

    private func step() {
        if connections > Self.connectionsMax { fail("connections are made without end") }
        if trace.count > Self.stepsMax { fail("the history does not end") }
        let isEventDue = (events.nextTime ?? .max) <= now
        let ready = systems.filter { $0.turnDue <= now }
        let choice = chance.below(ready.count + (isEventDue ? 1 : 0))
        guard choice < ready.count else {
            events.removeFirst()?()
            return
        }
        let system = ready[choice]
        let movesBefore = system.moves
        turns += 1
        system.runTurn()
        now += chance.within(0...50_000)
        idleTurns = system.moves == movesBefore ? idleTurns + 1 : 0
        if idleTurns > 500 { fail("a worker spins: \(system.reason)") }
    }
}
