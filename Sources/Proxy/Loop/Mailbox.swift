public import Rules
internal import Synchronization
public import Wire

/// Messages to a worker, from any thread.
public final class Mailbox: Sendable {
    public enum Message: Sendable {
        /// Serve by this configuration from now on.
        case install(Installation, report: (@Sendable (InstallReport) -> Void)?)
        /// Key sets that were fetched since.
        case keys(TokenKeys)
        /// Tokens of Weir's own, the newest.
        case attach(AttachedTokens)
        /// What discovery knows of endpoints, the newest.
        case endpoints(DiscoveredEndpoints)
        /// A connection that another worker accepted on this socket.
        case adopt(descriptor: Int32, peer: SocketAddress, socket: ListeningSocket)
        /// Accept no more and ask every client to go, spread over so many nanoseconds; what is not
        /// over `limit` nanoseconds later is cut.
        case drain(spread: Int64, limit: Int64)
        /// The stage that the memory in use calls for.
        case overload(OverloadStage)
        /// End at once.
        case stop
        /// Calls back with what the worker holds.
        case census(@Sendable (Census) -> Void)
        /// Calls back with at most so many of its connections.
        case connections(limit: Int, @Sendable ([ConnectionFacts]) -> Void)
        /// The same with endpoints of upstreams.
        case endpointFacts(limit: Int, @Sendable ([EndpointFacts]) -> Void)
    }

    /// Nil once the worker has ended.
    private let messages = Mutex<[Message]?>([])
    private let hasMessages = Atomic<Bool>(false)
    private let waker: Waker

    init(waker: Waker) { self.waker = waker }

    /// False where the worker has ended: nobody will take the message.
    @discardableResult
    public func post(_ message: Message) -> Bool {
        let isTaken = messages.withLock { messages in
            messages?.append(message)
            return messages != nil
        }
        hasMessages.store(true, ordering: .releasing)
        waker.ring()
        return isTaken
    }

    /// Makes the worker turn once more, with nothing to do.
    public func nudge() { waker.ring() }

    /// Takes what is left; nothing can be posted any more.
    func close() -> [Message] {
        messages.withLock { messages in
            defer { messages = nil }
            return messages ?? []
        }
    }

    /// True where a turn has something to take.
    public var isEmpty: Bool { !hasMessages.load(ordering: .acquiring) }

    func take() -> [Message] {
        guard hasMessages.exchange(false, ordering: .acquiringAndReleasing) else { return [] }
        return messages.withLock { messages in
            guard let taken = messages else { return [] }
            messages = []
            return taken
        }
    }
}

/// What a worker holds, for tests, and for people who want to know.
public struct Census: Sendable {
    public var connections = 0
    public var upstreamConnections = 0
    public var exchanges = 0
    /// Of clients, since the worker began.
    public var exchangesBegan: UInt64 = 0
    public var waiting = 0
    public var timers = 0
    public var generations = 0
    public var segments = 0
    public var blockBytes = 0
    public var counters: [(name: String, count: UInt64)] = []
}

/// A connection as its worker sees it.
public struct ConnectionFacts: Sendable {
    /// Its number among the worker's, as in the access log.
    public let serial: UInt32
    /// A client's; otherwise a server's.
    public let isDownstream: Bool
    /// Of the listener or the upstream.
    public let name: String
    public let peer: SocketAddress
    /// The proxy at the other end, where it has said that `peer` is the client.
    public let proxy: SocketAddress?
    public let streams: Int
    /// Its socket does not take what it is sent.
    public let hasUnsentOutput: Bool
}

/// How an installation went in one worker.
public struct InstallReport: Sendable {
    public let revision: String
    /// For how long the worker did nothing else.
    public let nanoseconds: Int64
}
