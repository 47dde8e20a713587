/// The header fields of a request, as routing looks at them.
public protocol RequestFields {
    /// Calls `body` once for every field of that name, in order; names are lower case.
    func forEachValue(of name: Span<UInt8>, _ body: (Span<UInt8>) -> Void)
}

/// Finds the most specific route of a listener. A decision's cost does not grow with their number.
public final class RouteTable: Sendable {
    public init() {}

    /// The position of the most specific route in the snapshot's list, or nil.
    ///
    /// - `authority` is as received: any port and one trailing dot are ignored, case too.
    /// - `path` is as received, the query included.
    public func route(
        authority: Span<UInt8>, httpMethod: Span<UInt8>, path: Span<UInt8>,
        fields: borrowing some RequestFields
    ) -> Int? { nil }
}
