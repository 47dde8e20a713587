public import Proxy
public import Wire

/// The seam's simulated half: what one worker sees of a `World`.
///
/// Readiness is epoll's. A stream is listed when something changes at it, and reported once with
/// all that is true of it then (edge-triggered); a listener is reported while connections wait.
public final class SimulatedSystem: System {
    let world: World
    /// Among the world's.
    private(set) var number = 0
    /// Gives the worker a turn, and says when it wants the next; set once there is a worker.
    public var turn: () -> Void = {}
    public var nextDeadline: () -> Int64? = { nil }
    /// Whether messages wait for the worker.
    public var messagesWait: () -> Bool = { false }
    /// Counts what the worker did to the world; a turn that adds nothing was idle.
    private(set) var moves = 0
    private var listed: [Int32] = []
    /// Each worker watches a listener with a tag of its own.
    private var listeners: [PollTag] = []
    private var ready: [Readiness] = []
    private var deadline: Int64?

    public init(_ world: World) {
        self.world = world
        super.init()
        number = world.add(self)
    }

    // MARK: The worker's turns

    /// The earliest time at which the worker has something to do.
    var turnDue: Int64 {
        if messagesWait() || !listed.isEmpty { return world.now }
        for tag in listeners where hasWaiting(tag.descriptor) { return world.now }
        return deadline ?? .max
    }

    /// Why the worker is to have a turn, in words.
    var reason: String {
        let waiting = listeners.map(\.descriptor).filter { hasWaiting($0) }
        let late = deadline.map { "deadline in \(($0 - world.now) / 1_000) us" } ?? "no deadline"
        return "\(late), listed \(listed), listeners with connections \(waiting)"
            + (messagesWait() ? ", messages" : "")
    }

    func runTurn() {
        if messagesWait() { moves += 1 }
        if let deadline, deadline <= world.now { moves += 1 }
        turn()
        let next = nextDeadline()
        // A deadline that stays in the past is not progress.
        if let next, next <= world.now, next == deadline { moves -= 1 }
        deadline = next
    }

    /// Reads the worker's deadline before its first turn.
    public func refresh() { deadline = nextDeadline() }

    /// There is no worker any more.
    func leave() {
        turn = {}
        nextDeadline = { nil }
        messagesWait = { false }
    }

    // MARK: Time and chance

    public override func now() -> Int64 { world.now }

    /// The world begins on 2026-01-01.
    public override func unixTime() -> Int64 { 1_767_225_600 + world.now / 1_000_000_000 }

    public override func random() -> UInt64 { world.chance.next() }

    public override var instance: UInt64 { 0x5111_0a7e_d000_0001 }

    // MARK: Sockets

    private func stream(_ descriptor: Int32, _ call: StaticString) -> SimulatedSocket? {
        if case .stream(let socket) = open(descriptor)?.use { return socket }
        world.fail("\(call) of descriptor \(descriptor), which is no open connection")
        return nil
    }

    private func open(_ descriptor: Int32) -> World.Descriptor? {
        let index = Int(descriptor)
        return world.descriptors.indices.contains(index) ? world.descriptors[index] : nil
    }

    private func hasWaiting(_ descriptor: Int32) -> Bool {
        guard case .listener(let listener) = open(descriptor)?.use else { return false }
        return !listener.waiting.isEmpty
    }

    public override func accept(_ listener: Int32) -> Accepted {
        guard case .listener(let door) = open(listener)?.use else {
            world.fail("accept of descriptor \(listener), which does not listen")
            return .nothingYet
        }
        if door.waiting.isEmpty { return .nothingYet }
        if world.lacksDescriptors { return .exhausted }
        let (socket, source) = door.waiting.removeFirst()
        let descriptor = world.open(World.Descriptor(.stream(socket)))
        note("accept", socket.connection, Int(descriptor))
        return .connection(descriptor, from: source)
    }

    public override func connect(
        to address: SocketAddress, _ options: ConnectOptions
    ) -> Connecting {
        if world.lacksDescriptors { return .failed(errno: 24) }
        let reachability = world.reachable(address)
        if case .unreachable = reachability {
            note("unreachable")
            return .failed(errno: World.addressUnavailable)
        }
        var link = Link()
        if case .accepts(let chosen, _) = reachability { link = chosen }
        let pair = world.makePair(link)
        let descriptor = world.open(World.Descriptor(.stream(pair.client)))
        note("connect", pair.client.connection, Int(descriptor))
        if let place = Place(address) {
            world.sightings.opened(pair.client.connection, place, worker: number, at: world.now)
        }
        world.after(world.chance.within(link.delay)) { [world] in
            switch reachability {
            case .accepts(_, let accepted):
                guard pair.client.state == .connecting else { return }
                accepted(pair.server)
                pair.client.becomeConnected()
            case .refused: pair.client.fail(World.connectionRefused)
            default: world.trace.note(world.now, "silence", pair.client.connection)
            }
        }
        return .started(descriptor)
    }

    public override func connectionError(_ descriptor: Int32) -> Int32 {
        stream(descriptor, "connectionError")?.takeError() ?? 9
    }

    public override func receive(
        _ descriptor: Int32, into buffer: UnsafeMutableRawBufferPointer
    ) -> Received {
        guard let socket = stream(descriptor, "receive") else { return .failed(errno: 9) }
        switch socket.read(limit: buffer.count) {
        case .bytes(let bytes):
            unsafe buffer.copyBytes(from: bytes)
            if !socket.isServerSide {
                world.sightings.connections[socket.connection]?.read(bytes.count, at: world.now)
            }
            note("receive", socket.connection, bytes.count)
            return .bytes(bytes.count)
        case .nothingYet: return .nothingYet
        case .ended: return .ended
        case .failed(let error): return .failed(errno: error)
        }
    }

    public override func send(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) -> Sent {
        guard let socket = stream(descriptor, "send") else { return .failed(errno: 9) }
        guard let count = unsafe socket.write(Array(bytes)) else {
            let error = socket.takeError()
            return .failed(errno: error == 0 ? 32 : error)
        }
        if !socket.isServerSide {
            world.sightings.connections[socket.connection]?
                .sent(count, of: bytes.count, at: world.now)
        }
        if count > 0 {
            note("send", socket.connection, count)
            unsafe world.trace.note(
                bytes: RawSpan(_unsafeBytes: UnsafeRawBufferPointer(rebasing: bytes[..<count])))
        }
        return .bytes(count)
    }

    public override func finish(_ descriptor: Int32) {
        guard let socket = stream(descriptor, "finish") else { return }
        note("finish", socket.connection)
        socket.shutDown()
    }

    public override func unacknowledged(_ descriptor: Int32) -> Int {
        stream(descriptor, "unacknowledged")?.unacknowledged ?? 0
    }

    public override func close(_ descriptor: Int32) {
        guard let entry = open(descriptor) else {
            return world.fail("close of descriptor \(descriptor), which is not open")
        }
        world.descriptors[Int(descriptor)] = nil
        listed.removeAll { $0 == descriptor }
        listeners.removeAll { $0.descriptor == descriptor }
        moves += 1
        switch entry.use {
        case .stream(let socket):
            if !socket.isServerSide { world.sightings.closed(socket.connection, at: world.now) }
            socket.close()
        case .listener(let listener): listener.close()
        }
    }

    // MARK: Readiness

    public override func watch(_ tag: PollTag) {
        guard let socket = stream(tag.descriptor, "watch"), let entry = open(tag.descriptor) else {
            return
        }
        entry.tag = tag.word
        entry.system = self
        socket.owner = self
        socket.ownerMark = tag.descriptor
        if socket.isReadable || socket.isWritable || socket.isHungUp { list(tag.descriptor) }
    }

    public override func watchListener(_ tag: PollTag) {
        guard case .listener = open(tag.descriptor)?.use else {
            return world.fail("watchListener of \(tag.descriptor), which does not listen")
        }
        listeners.append(tag)
    }

    public override func unwatch(_ descriptor: Int32) {
        listeners.removeAll { $0.descriptor == descriptor }
        listed.removeAll { $0 == descriptor }
        open(descriptor)?.tag = nil
        moves += 1
    }

    public override func wait(until deadline: Int64?) -> Int {
        ready.removeAll(keepingCapacity: true)
        for tag in listeners where hasWaiting(tag.descriptor) {
            ready.append(Readiness(tag: tag, readable: true, writable: false, hungUp: false))
        }
        // The kernel gives at most as many events as there is room for: sometimes that is few.
        let limit = world.chance.hits(percent: 80) ? Int.max : 1 + world.chance.below(4)
        var taken = 0
        while taken < listed.count, ready.count < limit {
            let number = listed[taken]
            taken += 1
            guard let entry = open(number), let word = entry.tag,
                case .stream(let socket) = entry.use
            else { continue }
            entry.isListed = false
            guard socket.isReadable || socket.isWritable || socket.isHungUp else { continue }
            ready.append(
                Readiness(
                    tag: PollTag(word: word), readable: socket.isReadable,
                    writable: socket.isWritable, hungUp: socket.isHungUp))
        }
        listed.removeFirst(taken)
        return ready.count
    }

    public override func readiness(at index: Int) -> Readiness { ready[index] }

    public override var waker: Waker { .silent }

    private func list(_ descriptor: Int32) {
        guard let entry = open(descriptor), entry.tag != nil, !entry.isListed else { return }
        entry.isListed = true
        listed.append(descriptor)
    }

    private func note(_ what: StaticString, _ first: Int = 0, _ second: Int = 0) {
        moves += 1
        world.trace.note(world.now, what, first, second)
    }
}

extension SimulatedSystem: SocketOwner {
    func socketChanged(_ socket: SimulatedSocket) { list(socket.ownerMark) }
}
