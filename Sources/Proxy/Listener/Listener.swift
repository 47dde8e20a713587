internal import Configuration
internal import Synchronization

/// A listening socket as one worker knows it. Connections hold it, so that one accepted before a
/// reload is served by the same listener's new terms after it.
final class Listener {
    /// The socket, open in the whole process until its last listener is closed. Nil once this one
    /// is: its connections must not keep the socket open, or whoever connects while they drain would
    /// wait in the kernel's queue for nobody.
    private(set) var socket: ListeningSocket?
    let connections: ConnectionCount
    let tag: PollTag
    /// Newest terms; those of a listener that was removed stay as they last were.
    private(set) var terms: ListenerTerms
    /// What its terms are part of.
    private(set) var generation: Generation

    init(
        _ socket: ListeningSocket, _ tag: PollTag, _ terms: ListenerTerms, _ generation: Generation
    ) {
        self.socket = socket
        connections = socket.connections
        self.tag = tag
        self.terms = terms
        self.generation = generation
    }

    func close() { socket = nil }

    func update(_ terms: ListenerTerms, _ generation: Generation) {
        self.terms = terms
        self.generation = generation
    }
}

/// How many connections were accepted on a socket and have not ended; outlives the socket.
final class ConnectionCount: Sendable {
    let count = Atomic<Int>(0)
}

/// A bound socket and how many connections it has, shared by all workers.
public final class ListeningSocket: Sendable {
    public let descriptor: Int32
    let connections = ConnectionCount()
    private let close: @Sendable (Int32) -> Void

    /// `close` is called with the descriptor when nobody listens on it any more.
    public init(descriptor: Int32, close: @escaping @Sendable (Int32) -> Void) {
        self.descriptor = descriptor
        self.close = close
    }

    deinit { close(descriptor) }
}
