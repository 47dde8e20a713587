extension Rewrite.PathRewrite {
    /// Appends to `output` what `path`, which has a query or none, becomes; the query stays.
    ///
    /// A prefix goes by whole segments and is without a final slash, as is what replaces it: `/v1`
    /// by nothing makes `/x` of `/v1/x`, and `/` of `/v1`, since no path is empty.
    public func append(rewriting path: Span<UInt8>, to output: inout [UInt8]) {
        switch self {
        case .prefix(let count, let replacement):
            let rest = path.extracting(min(count, path.count)...)
            output += replacement
            if replacement.isEmpty, rest.isEmpty || rest[0] == UInt8(ascii: "?") {
                output.append(UInt8(ascii: "/"))
            }
            for index in rest.indices { output.append(rest[index]) }
        case .full(let replacement):
            output += replacement
            var index = 0
            while index < path.count, path[index] != UInt8(ascii: "?") { index += 1 }
            while index < path.count {
                output.append(path[index])
                index += 1
            }
        }
    }
}
