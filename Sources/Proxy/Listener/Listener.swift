internal import Configuration
internal import Rules
internal import Synchronization

/// A listening socket as one worker knows it. Connections hold it, so that one accepted before a
/// reload is served by the same listener's new terms after it.
final class Listener {
    /// The socket while it is listened on: open in the process until the last worker has let it
    /// go, and no longer, so that a removed address refuses clients while the last ones drain.
    private(set) var socket: ListeningSocket?
    let connections: ConnectionCount
    /// Nil for cleartext.
    private(set) var tls: ServerTLS?
    let tag: PollTag
    /// Newest terms; those of a listener that was removed stay as they last were.
    private(set) var terms: ListenerTerms
    /// Their position in the list of their snapshot.
    private(set) var position: Int
    /// What its terms are part of.
    private var generation: Generation
    /// The two, for use without counting: looked at for every request.
    private(set) var borrowedTerms: Borrowed<ListenerTerms>
    private(set) var borrowedGeneration: Borrowed<Generation>

    /// By the pattern that a request matches, twice its position, plus one for gRPC.
    @safe @exclusivity(unchecked) private var series: PatternSeries
    /// By a pattern that names no whole method, and a method that a descriptor declares.
    @safe @exclusivity(unchecked) private var declared = SeriesIndex()
    /// For requests without a route; of plain HTTP, then of gRPC.
    private var routeless: [Borrowed<SeriesWriter>?] = [nil, nil]

    init(
        _ socket: ListeningSocket, _ tag: PollTag, _ terms: ListenerTerms, _ tls: ServerTLS?,
        _ generation: Generation
    ) {
        self.socket = socket
        self.tls = tls
        connections = socket.connections
        self.tag = tag
        self.terms = terms
        self.generation = generation
        position = generation.position(of: terms)
        borrowedTerms = Borrowed(terms)
        borrowedGeneration = Borrowed(generation)
        series = PatternSeries(count: terms.routes.patternCount * 2)
    }

    func update(_ terms: ListenerTerms, _ tls: ServerTLS?, _ generation: Generation) {
        self.terms = terms
        self.tls = tls
        self.generation = generation
        position = generation.position(of: terms)
        borrowedTerms = Borrowed(terms)
        borrowedGeneration = Borrowed(generation)
        forgetSeries()
    }

    func forgetSeries() {
        generation.forgetAccessCounts()
        series = PatternSeries(count: terms.routes.patternCount * 2)
        declared = SeriesIndex()
        routeless = [nil, nil]
    }

    /// What requests of a declared method are counted in; nil where there are too many already.
    @inline(always)
    func declaredSeries(
        pattern: Int, method: Int, make: () -> Borrowed<SeriesWriter>
    ) -> Borrowed<SeriesWriter>? {
        declared.series(pattern: pattern, method: method, make: make)
    }

    /// What requests of a pattern are counted in; `make` is called for the first.
    @inline(always)
    func series(
        pattern: Int, isGRPC: Bool, make: () -> Borrowed<SeriesWriter>
    ) -> Borrowed<SeriesWriter> {
        series.series(at: pattern &* 2 &+ (isGRPC ? 1 : 0), make: make)
    }

    func routelessSeries(
        isGRPC: Bool, make: () -> Borrowed<SeriesWriter>
    ) -> Borrowed<SeriesWriter> {
        if let known = routeless[isGRPC ? 1 : 0] { return known }
        let made = make()
        routeless[isGRPC ? 1 : 0] = made
        return made
    }

    func stopListening() { socket = nil }
}

/// How many connections came over a socket and have not ended, shared by all workers.
public final class ConnectionCount: Sendable {
    private let count = Atomic<Int>(0)
    private let shaking = Atomic<Int>(0)

    public var value: Int { count.load(ordering: .relaxed) }
    func began() { count.add(1, ordering: .relaxed) }
    func ended() { count.subtract(1, ordering: .relaxed) }

    /// Those of them whose TLS handshake lasts.
    public var handshakes: Int { shaking.load(ordering: .relaxed) }
    func handshakeBegan() { shaking.add(1, ordering: .relaxed) }
    func handshakeEnded() { shaking.subtract(1, ordering: .relaxed) }
}

/// A bound socket, shared by all workers.
public final class ListeningSocket: Sendable {
    public let descriptor: Int32
    /// Of connections in all workers. Whoever counts does not keep the socket open.
    public let connections = ConnectionCount()
    private let close: @Sendable (Int32) -> Void

    /// `close` is called with the descriptor when nobody listens on it any more.
    public init(descriptor: Int32, close: @escaping @Sendable (Int32) -> Void) {
        self.descriptor = descriptor
        self.close = close
    }

    deinit { close(descriptor) }
}
