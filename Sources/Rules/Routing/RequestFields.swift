/// The header fields of a request, as routing looks at them.
public protocol RequestFields {
    /// Calls `body` once for every field of that name, in order; names are lower case.
    func forEachValue(of name: Span<UInt8>, _ body: (Span<UInt8>) -> Void)
}
