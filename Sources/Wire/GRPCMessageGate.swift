/// Finds the first message of a gRPC body that is larger than allowed, by its prefix alone: what
/// comes before it may pass, in whatever portions its bytes come.
public struct GRPCMessageGate: Equatable, BitwiseCopyable, Sendable {
    private static let prefixBytes = 5
    private var counter = GRPCMessageCounter()

    public init() {}

    /// How large the message is that was found.
    public var largest: UInt32 { counter.largest }

    /// How many of the body's next bytes come before the first message of more than `bytesMax`; nil
    /// where there is none. 0 where its prefix began earlier.
    public mutating func admitted(_ bytes: Span<UInt8>, bytesMax: UInt32) -> Int? {
        var next = counter
        next.pass(bytes)
        guard next.largest > bytesMax else {
            counter = next
            return nil
        }
        for index in bytes.indices {
            counter.pass(bytes.extracting(index..<index + 1))
            if counter.largest > bytesMax { return max(0, index + 1 - Self.prefixBytes) }
        }
        return nil
    }
}
