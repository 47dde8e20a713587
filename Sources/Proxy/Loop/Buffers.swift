/// Where a flush gathers what one connection has to say, to write it at once. One per worker.
@safe
final class OutputBuffer {
    /// A frame of the default size with its header, and some more: padding, and nghttp2's own
    /// slack.
    static let frameBytesMax = 16_384 + 9 + 256
    private static let frameHeaderBytes = 9
    private let start: UnsafeMutableRawPointer
    let capacity: Int
    private(set) var count = 0

    init(capacity: Int) {
        self.capacity = capacity
        unsafe start = .allocate(byteCount: capacity, alignment: 16)
    }

    deinit { unsafe start.deallocate() }

    var room: Int { capacity &- count }

    /// True where any one frame fits.
    @inline(always)
    var takesFrame: Bool { room >= OutputBuffer.frameBytesMax }

    /// True where a DATA frame of `byteCount` bytes fits, and any other frame behind it: one call
    /// of nghttp2 may have DATA sent and then hand out another frame, which cannot be put back.
    @inline(always)
    func takesData(_ byteCount: Int) -> Bool {
        room >= byteCount &+ OutputBuffer.frameHeaderBytes &+ OutputBuffer.frameBytesMax
    }

    @inline(always)
    func append(_ bytes: UnsafeRawPointer, _ byteCount: Int) {
        precondition(byteCount >= 0 && byteCount <= room, "append beyond the output buffer")
        unsafe (start + count).copyMemory(from: bytes, byteCount: byteCount)
        count &+= byteCount
    }

    func append(_ bytes: ByteView) {
        if let start = unsafe bytes.pointer { unsafe append(start, bytes.count) }
    }

    func removeAll() { count = 0 }

    /// Looks at the bytes that were appended last.
    @inline(always)
    func useLast(_ byteCount: Int, _ body: (Span<UInt8>) -> Void) {
        precondition(byteCount >= 0 && byteCount <= count, "more than was appended")
        let first = unsafe start + (count &- byteCount)
        let bytes = unsafe UnsafeRawBufferPointer(start: first, count: byteCount)
        unsafe body(Span(_unsafeBytes: bytes))
    }

    func send(to descriptor: Int32, _ system: System) -> System.Sent {
        unsafe system.send(descriptor, .init(start: start, count: count))
    }

    @unsafe
    func withBytes<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        unsafe body(UnsafeRawBufferPointer(start: start, count: count))
    }

    /// What a full socket left over, after its first `sent` bytes.
    func rest(after sent: Int) -> UnsentBytes {
        precondition(sent >= 0 && sent <= count, "more was sent than there was")
        return unsafe UnsentBytes(start + sent, count - sent)
    }
}

/// Encoded bytes that wait for a socket to take them.
@safe
struct UnsentBytes: ~Copyable {
    private var start: UnsafeMutableRawPointer
    private var byteCount: Int
    private var offset = 0

    var count: Int { byteCount - offset }

    @unsafe
    fileprivate init(_ bytes: UnsafeRawPointer, _ byteCount: Int) {
        unsafe start = .allocate(byteCount: max(byteCount, 1), alignment: 16)
        unsafe start.copyMemory(from: bytes, byteCount: byteCount)
        self.byteCount = byteCount
    }

    deinit { unsafe start.deallocate() }

    /// Puts what an output buffer holds behind these bytes, and empties it.
    mutating func append(_ output: OutputBuffer) {
        let count = count
        let whole = UnsafeMutableRawPointer.allocate(
            byteCount: max(count + output.count, 1), alignment: 16)
        unsafe whole.copyMemory(from: start + offset, byteCount: count)
        unsafe output.withBytes { bytes in
            guard let first = bytes.baseAddress else { return }
            unsafe (whole + count).copyMemory(from: first, byteCount: bytes.count)
        }
        unsafe start.deallocate()
        unsafe start = whole
        byteCount = count + output.count
        offset = 0
        output.removeAll()
    }

    /// Sends on; nil where the socket failed, otherwise how many bytes it took.
    mutating func send(to descriptor: Int32, _ system: System) -> Int? {
        switch unsafe system.send(descriptor, .init(start: start + offset, count: count)) {
        case .failed: return nil
        case .bytes(let sent):
            offset += min(sent, count)
            return sent
        }
    }
}

/// Where reads land; one per worker.
@safe
final class ReadBuffer {
    private let start: UnsafeMutableRawPointer
    let capacity: Int

    init(capacity: Int) {
        self.capacity = capacity
        unsafe start = .allocate(byteCount: capacity, alignment: 16)
    }

    deinit { unsafe start.deallocate() }

    func receive(from descriptor: Int32, _ system: System) -> System.Received {
        unsafe system.receive(descriptor, into: .init(start: start, count: capacity))
    }

    /// Lets `body` write into the buffer.
    @unsafe
    func fill<Result>(_ body: (UnsafeMutableRawBufferPointer) -> Result) -> Result {
        unsafe body(UnsafeMutableRawBufferPointer(start: start, count: capacity))
    }

    func use<Result>(_ count: Int, _ body: (Span<UInt8>) -> Result) -> Result {
        unsafe body(Span(_unsafeBytes: bytes(count)))
    }

    /// Moves what is behind the first `used` of `count` bytes to the front; gives how many that is.
    func removeFirst(_ used: Int, of count: Int) -> Int {
        precondition(used >= 0 && used <= count && count <= capacity, "more than was read")
        unsafe start.copyMemory(from: start + used, byteCount: count - used)
        return count - used
    }

    @unsafe
    func bytes(_ count: Int) -> UnsafeRawBufferPointer {
        precondition(count >= 0 && count <= capacity, "more than was read")
        return unsafe .init(start: start, count: count)
    }
}
