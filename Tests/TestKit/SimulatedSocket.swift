/// How the network treats one connection.
public struct Link: Sendable {
    /// One way, each piece; nanoseconds.
    public var delay: ClosedRange<Int64> = 10_000...100_000
    /// Bytes that arrive together at most; early on, pieces are often much smaller.
    public var pieceMax = 65_536
    /// True: even single bytes arrive by themselves.
    public var splitsFinely = false
    /// Bytes under way or unread that one direction holds before a sender has to wait.
    public var capacity = 262_144
    /// After so many bytes of one direction nothing of it arrives for a while, or ever.
    public var stall: (toServer: Bool, afterBytes: Int, nanoseconds: Int64)?
    /// After so many bytes of one direction the connection is cut: by RST, or by FIN both ways.
    public var cut: (toServer: Bool, afterBytes: Int, byReset: Bool)?

    public init() {}
}

/// Hears of changes at a socket: bytes, an end or a failure arrived, or there is room again.
protocol SocketOwner: AnyObject {
    func socketChanged(_ socket: SimulatedSocket)
}

/// One end of a simulated stream connection, as Linux's TCP shows it.
///
///     connecting -> connected -> ended by FIN (either way) -> closed
///          \-> failed              \-> failed by RST
final class SimulatedSocket {
    enum State: Equatable { case connecting, connected, failed, closed }

    /// Counts connections; both ends have the same.
    let connection: Int
    let isServerSide: Bool
    let link: Link
    unowned let world: World
    weak var owner: (any SocketOwner)?
    /// The owner's own name for this socket.
    var ownerMark: Int32 = -1
    private(set) var other: SimulatedSocket?
    private(set) var state = State.connecting
    /// SO_ERROR: reported once.
    private(set) var pendingError: Int32 = 0

    /// Received and unread.
    private var arrived = ByteQueue()
    private(set) var finArrived = false
    /// Sent and not yet at the other end.
    private var underWay = ByteQueue()
    private var isFinUnderWay = false
    private var isResetUnderWay = false
    private(set) var isShutDown = false
    private var isDelivering = false
    private var deliveredBytes = 0
    /// Cut: nothing that is sent arrives any more.
    private var isSevered = false
    private var hasStalled = false
    /// A send came up short, so that room is worth an event (SOCK_NOSPACE).
    private var lacksRoom = false
    /// The world, not a peer, ended this connection or keeps it silent.
    private(set) var wasCut = false

    init(_ world: World, connection: Int, isServerSide: Bool, link: Link) {
        self.world = world
        self.connection = connection
        self.isServerSide = isServerSide
        self.link = link
    }

    // MARK: Coming up

    /// Joins two fresh ends.
    func pair(with server: SimulatedSocket) {
        other = server
        server.other = self
        server.state = .connected
    }

    func becomeConnected() {
        guard state == .connecting else { return }
        state = .connected
        changed()
    }

    func fail(_ error: Int32) {
        guard state == .connecting || state == .connected else { return }
        state = .failed
        pendingError = error
        underWay.removeAll()
        changed()
    }

    // MARK: What epoll would say

    var isReadable: Bool {
        state == .failed || (state == .connected && (!arrived.isEmpty || finArrived))
    }

    /// As the kernel: at least a third of the room is free.
    var isWritable: Bool {
        state == .failed || (state == .connected && room * 3 >= link.capacity)
    }

    var isHungUp: Bool { state == .failed || (state == .connected && finArrived) }

    // MARK: System calls

    enum ReadResult: Equatable { case bytes([UInt8]), nothingYet, ended, failed(Int32) }

    func read(limit: Int) -> ReadResult {
        if !arrived.isEmpty, limit > 0 {
            let bytes = arrived.removeFirst(limit)
            other?.roomGrew()
            return .bytes(bytes)
        }
        if state == .failed {
            let error = takeError()
            return error == 0 ? .ended : .failed(error)
        }
        return finArrived ? .ended : .nothingYet
    }

    /// Takes as much as there is room for; nil where the socket has failed.
    func write(_ bytes: [UInt8]) -> Int? {
        guard state == .connected, !isShutDown else { return state == .connecting ? 0 : nil }
        let count = min(room, bytes.count)
        lacksRoom = count < bytes.count
        guard count > 0 else { return 0 }
        underWay.append(bytes[..<count])
        deliverSoon()
        return count
    }

    /// Sent, and not yet with the other end's kernel.
    var unacknowledged: Int { state == .connected ? underWay.count : 0 }

    func takeError() -> Int32 {
        defer { pendingError = 0 }
        return pendingError
    }

    /// FIN, reading on.
    func shutDown() {
        guard state == .connected, !isShutDown else { return }
        isShutDown = true
        isFinUnderWay = true
        deliverSoon()
    }

    /// As close(2): FIN, or RST where something received was never read.
    func close() {
        let isRude = !arrived.isEmpty
        let wasConnected = state == .connected
        state = .closed
        owner = nil
        arrived.removeAll()
        guard wasConnected else { return }
        world.trace.note(world.now, "close", connection, isServerSide ? 1 : 0, isRude ? 1 : 0)
        if isRude { return reset() }
        if !isShutDown {
            isShutDown = true
            isFinUnderWay = true
            deliverSoon()
        }
    }

    /// RST after part of what is under way: the kernel drops what it has not sent.
    func reset() {
        if state == .connected { state = .closed }
        underWay.keepFirst(world.chance.below(underWay.count + 1))
        isFinUnderWay = false
        isResetUnderWay = true
        deliverSoon()
    }

    // MARK: The network

    private var room: Int {
        max(0, link.capacity - underWay.count - (other?.arrived.count ?? 0))
    }

    private func roomGrew() {
        guard lacksRoom, isWritable else { return }
        lacksRoom = false
        changed()
    }

    private func changed() { owner?.socketChanged(self) }

    private func deliverSoon() {
        guard !isDelivering else { return }
        isDelivering = true
        world.after(world.chance.within(link.delay)) { [self] in deliver() }
    }

    /// One piece arrives; an end arrives after the last.
    private func deliver() {
        isDelivering = false
        guard let other else { return }
        if isSevered {
            underWay.removeAll()
            return fail(World.connectionReset)
        }
        if let stall = link.stall, stall.toServer == !isServerSide, !hasStalled,
            deliveredBytes >= stall.afterBytes
        {
            hasStalled = true
            world.trace.note(world.now, "stall", connection, isServerSide ? 1 : 0)
            if stall.nanoseconds == .max { markCut() }
            isDelivering = true
            if stall.nanoseconds < .max {
                world.after(stall.nanoseconds) { [self] in deliver() }
            }
            return
        }
        if !underWay.isEmpty { return deliverPiece(to: other) }
        if isResetUnderWay {
            isResetUnderWay = false
            world.trace.note(world.now, "rst", connection, isServerSide ? 1 : 0)
            other.fail(World.connectionReset)
        } else if isFinUnderWay {
            isFinUnderWay = false
            world.trace.note(world.now, "fin", connection, isServerSide ? 1 : 0)
            other.finArrived = true
            other.changed()
        }
    }

    private func deliverPiece(to other: SimulatedSocket) {
        var count = min(underWay.count, pieceSize())
        if let cut = link.cut, cut.toServer == !isServerSide {
            count = min(count, max(0, cut.afterBytes - deliveredBytes))
        }
        let piece = underWay.removeFirst(count)
        deliveredBytes += count
        world.trace.note(world.now, "arrive", connection, isServerSide ? 1 : 0, count)
        if other.state == .closed {
            // Bytes for a socket that is closed are answered by RST, and what its kernel still had
            // to send is lost.
            underWay.removeAll()
            other.underWay.removeAll()
            other.isFinUnderWay = false
            world.after(world.chance.within(link.delay)) { [self] in fail(World.connectionReset) }
            return
        }
        other.arrived.append(piece[...])
        if count > 0 { other.changed() }
        if let cut = link.cut, cut.toServer == !isServerSide, deliveredBytes >= cut.afterBytes {
            return cutConnection(byReset: cut.byReset)
        }
        if !underWay.isEmpty || isFinUnderWay || isResetUnderWay {
            isDelivering = true
            let gap = world.chance.hits(percent: 70) ? 0 : world.chance.within(link.delay) / 4
            world.after(gap) { [self] in deliver() }
        }
    }

    private func pieceSize() -> Int {
        guard link.splitsFinely else { return world.chance.within(1...link.pieceMax) }
        if deliveredBytes < 4_096 { return world.chance.within(1...20) }
        return world.chance.within(512...max(512, link.pieceMax))
    }

    /// The world's doing: what is under way is lost and both ends learn of it.
    func cutConnection(byReset: Bool) {
        markCut()
        world.trace.note(world.now, "cut", connection, byReset ? 1 : 0)
        for end in [self, other].compactMap({ $0 }) {
            end.underWay.removeAll()
            end.isSevered = true
            if byReset {
                end.fail(World.connectionReset)
            } else if !end.finArrived {
                end.finArrived = true
                end.changed()
            }
        }
    }

    private func markCut() {
        wasCut = true
        other?.wasCut = true
    }

    /// Frees the pair: the two ends hold each other.
    func forget() {
        other?.other = nil
        other = nil
    }
}

/// Bytes in, bytes out.
struct ByteQueue {
    private var bytes: [UInt8] = []
    private var start = 0
    var count: Int { bytes.count - start }
    var isEmpty: Bool { count == 0 }

    mutating func append(_ more: ArraySlice<UInt8>) {
        if start == bytes.count { removeAll() }
        bytes.append(contentsOf: more)
    }

    mutating func removeFirst(_ limit: Int) -> [UInt8] {
        let end = start + min(limit, count)
        defer {
            start = end
            if start > 65_536, start * 2 > bytes.count {
                bytes.removeFirst(start)
                start = 0
            }
        }
        return Array(bytes[start..<end])
    }

    mutating func keepFirst(_ limit: Int) {
        if count > limit { bytes.removeLast(count - limit) }
    }

    mutating func removeAll() {
        bytes.removeAll(keepingCapacity: true)
        start = 0
    }
}
