internal import Glibc
internal import Wire

/// Lines on their way to a file: gathered, written from the front, bounded.
@safe
public final class LineBuffer {
    private let start: UnsafeMutableRawPointer
    public let capacity: Int
    /// What was added and what of it was written.
    @safe @exclusivity(unchecked) private var end = 0
    @safe @exclusivity(unchecked) private var first = 0

    /// What was written last ended within a line.
    public private(set) var isMidLine = false

    public init(capacity: Int) {
        self.capacity = capacity
        unsafe start = .allocate(byteCount: capacity, alignment: 16)
    }

    deinit { unsafe start.deallocate() }

    public var count: Int { end &- first }
    var room: Int { capacity &- end }

    // MARK: Adding. The caller has looked at `room`.

    @inline(always)
    func append(_ text: StaticString) {
        let count = text.utf8CodeUnitCount
        precondition(count <= room, "beyond the buffer")
        unsafe (start + end).copyMemory(from: text.utf8Start, byteCount: count)
        end &+= count
    }

    @inline(always)
    func append(_ byte: UInt8) {
        precondition(room > 0, "beyond the buffer")
        unsafe (start + end).storeBytes(of: byte, as: UInt8.self)
        end &+= 1
    }

    func append(_ bytes: Span<UInt8>) {
        precondition(bytes.count <= room, "beyond the buffer")
        unsafe bytes.withUnsafeBytes {
            guard let source = $0.baseAddress else { return }
            unsafe (start + end).copyMemory(from: source, byteCount: bytes.count)
        }
        end &+= bytes.count
    }

    @inline(always)
    func append(_ bytes: ByteView) { bytes.use { append($0) } }

    @inline(always)
    func append(_ name: ShortName) {
        precondition(ShortName.bytesMax <= room && name.count >= 0, "beyond the buffer")
        unsafe (start + end).storeBytes(of: name.words, as: ShortName.Words.self)
        end &+= name.count
    }

    /// In decimal.
    @inline(always)
    func append(_ number: UInt64) {
        if number < 10 { return append(UInt8(truncatingIfNeeded: number) &+ 0x30) }
        append(number, digits: number < 100 ? 2 : number < 1_000 ? 3 : Self.digits(number))
    }

    /// So many digits, with zeros in front.
    func append(_ number: UInt64, digits: Int) {
        precondition(digits >= 0 && digits <= room, "beyond the buffer")
        var left = number
        var place = end &+ digits
        while place &- end >= 2 {
            place &-= 2
            let (rest, pair) = left.quotientAndRemainder(dividingBy: 100)
            let text = unsafe Self.pairs.utf8Start + Int(truncatingIfNeeded: pair) &* 2
            unsafe (start + place).copyMemory(from: text, byteCount: 2)
            left = rest
        }
        if place > end {
            let digit = UInt8(truncatingIfNeeded: left % 10) &+ 0x30
            unsafe (start + end).storeBytes(of: digit, as: UInt8.self)
        }
        end &+= digits
    }

    /// Of numbers above 999.
    private static func digits(_ number: UInt64) -> Int {
        var digits = 4
        var bound: UInt64 = 10_000
        while digits < 20, number >= bound {
            digits &+= 1
            let (next, overflow) = bound.multipliedReportingOverflow(by: 10)
            if overflow { break }
            bound = next
        }
        return digits
    }

    private static var pairs: StaticString {
        """
        00010203040506070809101112131415161718192021222324252627282930313233343536373839\
        40414243444546474849505152535455565758596061626364656667686970717273747576777879\
        8081828384858687888990919293949596979899
        """
    }

    // MARK: Taking

    /// Writes from the front: `write` says how many bytes it took.
    public func drain(_ write: (UnsafeRawBufferPointer) -> Int) {
        let bytes = unsafe UnsafeRawBufferPointer(start: start + first, count: count)
        let taken = unsafe write(bytes)
        precondition(taken >= 0 && taken <= count, "more than there was")
        if taken > 0 {
            let last = unsafe start.load(fromByteOffset: first + taken - 1, as: UInt8.self)
            isMidLine = last != UInt8(ascii: "\n")
        }
        first &+= taken
        if first == end { removeAll() }
    }

    /// Makes what was written free again.
    public func compact() {
        guard first > 0 else { return }
        unsafe _ = memmove(start, start + first, count)
        end &-= first
        first = 0
    }

    public func removeAll() {
        first = 0
        end = 0
    }

    /// Drops the rest of a line of which a part was written.
    public func dropLine() {
        isMidLine = false
        guard count > 0, let newline = unsafe memchr(start + first, 0x0a, count) else {
            return removeAll()
        }
        first = unsafe UnsafeRawPointer(newline) - UnsafeRawPointer(start) &+ 1
        if first == end { removeAll() }
    }

    /// All of it as text, for tests.
    public func takeText() -> String {
        defer { removeAll() }
        let bytes = unsafe UnsafeRawBufferPointer(start: start + first, count: count)
        return unsafe String(decoding: bytes, as: UTF8.self)
    }
}
