public import Rules
internal import Synchronization

/// What discovery knows of endpoints, all of it, handed to every worker whenever something has
/// changed, and before a configuration that needs it.
public final class DiscoveredEndpoints: Sendable {
    public static let none = DiscoveredEndpoints([:], EndpointRequests(waker: nil))

    /// Of a source that has no list, nothing is known yet.
    public let lists: [EndpointSource: EndpointList]
    let requests: EndpointRequests

    public init(_ lists: [EndpointSource: EndpointList], _ requests: EndpointRequests) {
        self.lists = lists
        self.requests = requests
    }
}

/// The endpoints that one source gave last: the same object while they are the same.
public final class EndpointList: Sendable {
    public let endpoints: [EndpointTerms]

    public init(_ endpoints: [EndpointTerms]) { self.endpoints = endpoints }
}

/// Names that workers want looked up before their time, as what was found cannot be reached.
public final class EndpointRequests: Sendable {
    private let wanted = Mutex<Set<EndpointSource>>([])
    private let waker: Waker?

    public init(waker: Waker?) { self.waker = waker }

    func ask(for source: EndpointSource) {
        let isNew = wanted.withLock { $0.insert(source).inserted }
        if isNew { waker?.ring() }
    }

    public func take() -> Set<EndpointSource> {
        wanted.withLock { wanted in
            defer { wanted = [] }
            return wanted
        }
    }
}
