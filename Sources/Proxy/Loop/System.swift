public import Wire

/// The one seam to the world: time, randomness, sockets and readiness, as one worker sees them.
///
/// One virtual call stands for one system call. `LinuxSystem` makes it; the simulation's subclass
/// invents the answers from a seed. One instance belongs to one thread.
open class System {
    public enum Accepted {
        case connection(Int32, from: SocketAddress)
        case nothingYet
        /// No descriptor or memory is left: try again later, not at once.
        case exhausted
    }

    public enum Received: Equatable {
        case bytes(Int)
        case nothingYet
        /// The peer ended its side (FIN).
        case ended
        case failed(errno: Int32)
    }

    public enum Sent: Equatable {
        /// Fewer than given: the socket is full.
        case bytes(Int)
        case failed(errno: Int32)
    }

    public enum Connecting {
        /// Ready for writing once connected, or with `connectionError` once failed.
        case started(Int32)
        case failed(errno: Int32)
    }

    /// Options of an upstream socket.
    public struct ConnectOptions: Sendable {
        /// TCP_USER_TIMEOUT in milliseconds; 0 leaves the kernel's.
        public var userTimeoutMilliseconds: Int32 = 0
        public init() {}
    }

    /// What became of a descriptor that is watched.
    public struct Readiness {
        public let tag: PollTag
        public let readable: Bool
        public let writable: Bool
        /// The peer ended its side, or the socket failed: read until `ended`.
        public let hungUp: Bool

        public init(tag: PollTag, readable: Bool, writable: Bool, hungUp: Bool) {
            self.tag = tag
            self.readable = readable
            self.writable = writable
            self.hungUp = hungUp
        }
    }

    public init() {}

    // MARK: Time and chance

    /// Nanoseconds on a clock that never steps.
    open func now() -> Int64 { preconditionFailure("subclass") }

    /// Seconds since 1970, as certificates and tokens have them. May step.
    open func unixTime() -> Int64 { preconditionFailure("subclass") }

    open func random() -> UInt64 { preconditionFailure("subclass") }

    /// A random number that stays as long as the process: it tells it from all other proxies.
    open var instance: UInt64 { preconditionFailure("subclass") }

    // MARK: Sockets

    open func accept(_ listener: Int32) -> Accepted { preconditionFailure("subclass") }

    /// Begins to connect a non-blocking stream socket.
    open func connect(to address: SocketAddress, _ options: ConnectOptions) -> Connecting {
        preconditionFailure("subclass")
    }

    /// Why a connection attempt failed; 0 where it succeeded (SO_ERROR).
    open func connectionError(_ descriptor: Int32) -> Int32 { preconditionFailure("subclass") }

    open func receive(
        _ descriptor: Int32, into buffer: UnsafeMutableRawBufferPointer
    ) -> Received { preconditionFailure("subclass") }

    open func send(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) -> Sent {
        preconditionFailure("subclass")
    }

    open func close(_ descriptor: Int32) { preconditionFailure("subclass") }

    /// Ends the sending side (FIN) and leaves the receiving one open.
    open func finish(_ descriptor: Int32) { preconditionFailure("subclass") }

    /// Bytes that were sent and that the peer's kernel has not acknowledged; 0 where that cannot be
    /// known.
    open func unacknowledged(_ descriptor: Int32) -> Int { preconditionFailure("subclass") }

    // MARK: Readiness

    /// Watches a connection's socket, edge-triggered for reading and writing, until it is closed.
    open func watch(_ tag: PollTag) { preconditionFailure("subclass") }

    /// Watches a listening socket, level-triggered, for reading only.
    open func watchListener(_ tag: PollTag) { preconditionFailure("subclass") }

    open func unwatch(_ descriptor: Int32) { preconditionFailure("subclass") }

    /// Waits until something is ready, `deadline` has passed (nil: for ever) or the mailbox rang;
    /// gives how many descriptors are ready.
    open func wait(until deadline: Int64?) -> Int { preconditionFailure("subclass") }

    /// The `index`th ready descriptor of the last `wait`.
    open func readiness(at index: Int) -> Readiness { preconditionFailure("subclass") }

    // MARK: Being woken

    /// Ends a `wait`, from any thread: what a mailbox calls after a message was put into it.
    open var waker: Waker { preconditionFailure("subclass") }
}

/// Names a descriptor's use: the generation tells a recycled number from its predecessor.
public struct PollTag: Equatable, Sendable {
    public let descriptor: Int32
    public let generation: UInt32

    public var word: UInt64 { UInt64(generation) << 32 | UInt64(UInt32(bitPattern: descriptor)) }

    public init(descriptor: Int32, generation: UInt32) {
        self.descriptor = descriptor
        self.generation = generation
    }

    public init(word: UInt64) {
        descriptor = Int32(truncatingIfNeeded: word)
        generation = UInt32(truncatingIfNeeded: word >> 32)
    }
}

/// Rings a worker. With a descriptor it is an eventfd; without one ringing does nothing, which is
/// right where the simulation decides whose turn it is.
public struct Waker: Sendable {
    let descriptor: Int32?

    /// The simulation's: nothing waits, so nothing has to be woken.
    public static let silent = Waker(descriptor: nil)

    init(descriptor: Int32?) { self.descriptor = descriptor }
}
