internal import Wire

/// Where the fields that Weir itself reads stand in a request's header block, and what was wrong
/// with them. Filled while the block arrives; judged when it is whole.
struct RequestHead: BitwiseCopyable {
    /// What is wrong with a request, found before its path or route were looked at.
    enum Fault: BitwiseCopyable {
        case headerList, headerFields, path
        case repeatedContentType, repeatedTimeout
    }

    private static var absent: Int16 { -1 }
    private(set) var method = absent
    private(set) var path = absent
    private(set) var authority = absent
    private(set) var scheme = absent
    private(set) var host = absent
    private(set) var contentType = absent
    private(set) var te = absent
    private(set) var grpcTimeout = absent
    private(set) var requestID = absent
    private(set) var hasSeveralRequestIDs = false
    /// The last of them.
    private(set) var via = absent
    private(set) var authorization = absent
    private(set) var hasSeveralAuthorizations = false
    private(set) var fault: Fault?
    var isGRPC = false
    /// A trusted proxy says that it is a copy.
    var isMirrored = false

    /// Remembers where a field that is about to be stored at `index` stands.
    @inline(always)
    mutating func noted(_ token: HeaderToken, at index: Int) {
        let place = Int16(truncatingIfNeeded: index)
        switch token {
        case .method: method = place
        case .path: path = place
        case .authority: authority = place
        case .scheme: scheme = place
        case .te: te = place
        case .requestID:
            hasSeveralRequestIDs = requestID >= 0
            requestID = place
        case .via: via = place
        case .authorization:
            if authorization >= 0 { hasSeveralAuthorizations = true }
            authorization = place
        case .host: host = place
        case .contentType:
            if contentType >= 0 { found(.repeatedContentType) }
            contentType = place
        case .grpcTimeout:
            if grpcTimeout >= 0 { found(.repeatedTimeout) }
            grpcTimeout = place
        default: break
        }
    }

    /// A field has gone from the block: those behind it moved up.
    mutating func removed(at index: Int) {
        let place = Int16(truncatingIfNeeded: index)
        if authorization == place { authorization = Self.absent }
        Self.moveUp(&method, place)
        Self.moveUp(&path, place)
        Self.moveUp(&authority, place)
        Self.moveUp(&scheme, place)
        Self.moveUp(&host, place)
        Self.moveUp(&contentType, place)
        Self.moveUp(&te, place)
        Self.moveUp(&grpcTimeout, place)
        Self.moveUp(&requestID, place)
        Self.moveUp(&via, place)
        Self.moveUp(&authorization, place)
    }

    private static func moveUp(_ field: inout Int16, _ removed: Int16) {
        if field > removed { field &-= 1 }
    }

    /// The first fault is the one that is answered.
    mutating func found(_ other: Fault) { if fault == nil { fault = other } }
}

extension HeaderBlock {
    /// The value at a place that `RequestHead` noted; nil where there is none.
    @inline(always)
    func value(at place: Int16) -> ByteView? { place < 0 ? nil : value(Int(place)) }
}
