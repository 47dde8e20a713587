/// Counts the whole messages in a gRPC body, in whatever portions its bytes come ("gRPC over
/// HTTP2": a flag, four bytes of length, so many bytes). Messages are skipped, not read.
public struct GRPCMessageCounter: Equatable, BitwiseCopyable, Sendable {
    private static var prefixBytes: UInt8 { 5 }

    /// Messages whose last byte has passed.
    public private(set) var count: UInt32 = 0
    /// The most bytes that a prefix has announced.
    public private(set) var largest: UInt32 = 0
    /// Bytes of the current message that are still to pass, once its prefix has.
    private var left: UInt32 = 0
    /// Of the current prefix: how many of its bytes have passed, and the length so far.
    private var prefixPassed: UInt8 = 0
    private var length: UInt32 = 0

    public init() {}

    /// True between messages: a body that ends elsewhere was cut.
    public var isBetweenMessages: Bool { left == 0 && prefixPassed == 0 }

    /// The next bytes of the body.
    @inline(__always)
    public mutating func pass(_ bytes: Span<UInt8>) {
        // Most often a chunk is a part of a message, or one message.
        if left > 0, bytes.count < Int(left) {
            left &-= UInt32(truncatingIfNeeded: bytes.count)
            return
        }
        if isBetweenMessages, bytes.count >= 8 {
            let body = UInt32(truncatingIfNeeded: bytes.word(at: 0) >> 24)
            let passed = bytes.count &- 5
            if passed <= Int(body) {
                left = body &- UInt32(truncatingIfNeeded: passed)
                largest = max(largest, body)
                if left == 0 { count &+= 1 }
                return
            }
        }
        walk(bytes)
    }

    @inline(never)
    private mutating func walk(_ bytes: Span<UInt8>) {
        var index = 0
        while index < bytes.count {
            if left > 0 {
                let portion = min(Int(left), bytes.count &- index)
                left &-= UInt32(truncatingIfNeeded: portion)
                index &+= portion
                if left == 0 { count &+= 1 }
                continue
            }
            if prefixPassed > 0 { length = length << 8 | UInt32(bytes[index]) }
            index &+= 1
            prefixPassed &+= 1
            guard prefixPassed == Self.prefixBytes else { continue }
            prefixPassed = 0
            left = length
            largest = max(largest, length)
            length = 0
            if left == 0 { count &+= 1 }
        }
    }
}
