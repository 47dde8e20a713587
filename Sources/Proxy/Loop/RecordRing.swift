internal import Synchronization
internal import Wire

/// Records of bytes on their way from a worker to another thread: bounded, without a lock, one
/// thread at either end.
///
///     taken <= written <= taken + capacity
///
/// Both count bytes since the beginning; where a record lies is its position modulo the capacity.
/// A record is never split: one that begins near the end runs on into the room behind it.
@safe
public final class RecordRing: @unchecked Sendable {
    static let capacity = 1 << 20
    /// No record is larger.
    static let recordBytesMax = 4_096
    fileprivate static let lengthBytes = 8

    // Touched by one thread at a time: what lies between `taken` and `written` by the reader, the
    // rest by the writer.
    fileprivate let start: UnsafeMutableRawPointer
    fileprivate let written = Atomic<Int>(0)
    fileprivate let taken = Atomic<Int>(0)
    private let isAwaited = Atomic<Bool>(false)
    private let dropCount = Atomic<UInt64>(0)
    fileprivate let waker: Waker

    /// `waker` is rung when the reader waits, or should hurry.
    public init(waker: Waker = .silent) {
        self.waker = waker
        // Not touched before it is used: a ring without records costs address space only.
        unsafe start = .allocate(
            byteCount: Self.capacity + Self.recordBytesMax, alignment: 4_096)
    }

    deinit { unsafe start.deallocate() }

    /// Records that found no room.
    public var dropped: UInt64 { dropCount.load(ordering: .relaxed) }

    fileprivate func drop() { dropCount.add(1, ordering: .relaxed) }

    fileprivate func place(_ position: Int) -> UnsafeMutableRawPointer {
        unsafe start + (position & (Self.capacity &- 1))
    }

    // MARK: Waiting, by the reader

    public var isEmpty: Bool {
        written.load(ordering: .acquiring) == taken.load(ordering: .relaxed)
    }

    /// The reader is about to wait: the next record rings, unless one is there already.
    public func await() -> Bool {
        isAwaited.store(true, ordering: .sequentiallyConsistent)
        return written.load(ordering: .sequentiallyConsistent) == taken.load(ordering: .relaxed)
    }

    public func stopAwaiting() { isAwaited.store(false, ordering: .relaxed) }

    fileprivate func ringIfAwaited() {
        if isAwaited.exchange(false, ordering: .sequentiallyConsistent) { waker.ring() }
    }

    // MARK: Reading

    /// Gives records to `body`, oldest first, until it refuses one or none is left.
    func take(_ body: (RecordView) -> Bool) {
        let end = written.load(ordering: .acquiring)
        var position = taken.load(ordering: .relaxed)
        while position < end {
            let place = unsafe place(position)
            let byteCount = unsafe place.load(as: Int.self)
            guard unsafe body(RecordView(place + Self.lengthBytes)) else { break }
            position &+= byteCount
        }
        taken.store(position, ordering: .releasing)
    }
}

/// The worker's end of a ring.
@safe
final class RecordWriter {
    private let ring: RecordRing
    private let start: UnsafeMutableRawPointer
    @safe @exclusivity(unchecked) private var position = 0
    /// As it was last seen; the reader may be further.
    @safe @exclusivity(unchecked) private var taken = 0
    @safe @exclusivity(unchecked) private var cursor: UnsafeMutableRawPointer
    @safe @exclusivity(unchecked) private var hasNews = false
    private var rungAt = 0

    init(_ ring: RecordRing) {
        self.ring = ring
        unsafe start = ring.start
        unsafe cursor = ring.start
    }

    /// Begins a record; false where the ring is full, which is counted.
    @inline(always)
    func begin<Head: BitwiseCopyable>(_: Head.Type) -> Bool {
        if position &- taken > RecordRing.capacity &- RecordRing.recordBytesMax {
            taken = ring.taken.load(ordering: .acquiring)
            guard position &- taken <= RecordRing.capacity &- RecordRing.recordBytesMax else {
                ring.drop()
                return false
            }
        }
        let headBytes = RecordRing.lengthBytes &+ MemoryLayout<Head>.stride
        unsafe cursor = start + (position & (RecordRing.capacity &- 1)) + headBytes
        return true
    }

    /// Adds a text of at most `max` bytes; gives how many it added.
    @inline(always)
    func append(_ text: ByteView, max: Int) -> UInt16 {
        let count = min(text.count, max)
        guard count > 0, let source = unsafe text.pointer else { return 0 }
        unsafe cursor.copyMemory(from: source, byteCount: count)
        unsafe cursor += count
        return UInt16(truncatingIfNeeded: count)
    }

    /// The same of bytes that a connection keeps.
    @inline(never)
    func append(_ text: [UInt8], max: Int) -> UInt16 {
        let count = min(text.count, max)
        unsafe text.withUnsafeBytes { bytes in
            guard let source = bytes.baseAddress else { return }
            unsafe cursor.copyMemory(from: source, byteCount: count)
        }
        unsafe cursor += count
        return UInt16(truncatingIfNeeded: count)
    }

    /// Adds a name; the whole of it where there is no short form.
    @inline(always)
    func append(_ name: ShortName, or whole: @autoclosure () -> String) -> UInt16 {
        if name.count < 0 { return append(whole()) }
        unsafe cursor.storeBytes(of: name.words, as: ShortName.Words.self)
        unsafe cursor += name.count
        return UInt16(truncatingIfNeeded: name.count)
    }

    /// Adds a text from a configuration, which has bounded it.
    @inline(never)
    func append(_ text: String) -> UInt16 {
        var count = 0
        for byte in text.utf8.prefix(Self.textBytesMax) {
            unsafe cursor.storeBytes(of: byte, as: UInt8.self)
            unsafe cursor += 1
            count &+= 1
        }
        return UInt16(truncatingIfNeeded: count)
    }

    private static var textBytesMax: Int { 128 }

    /// Hands the record over, with its head in front of its texts.
    @inline(always)
    func commit<Head: BitwiseCopyable>(_ head: Head) {
        let place = unsafe start + (position & (RecordRing.capacity &- 1))
        let byteCount = unsafe (cursor - place &+ 7) & ~7
        precondition(byteCount <= RecordRing.recordBytesMax, "a record beyond its bounds")
        unsafe place.storeBytes(of: byteCount, as: Int.self)
        unsafe (place + RecordRing.lengthBytes).storeBytes(of: head, as: Head.self)
        position &+= byteCount
        ring.written.store(position, ordering: .releasing)
        hasNews = true
    }

    /// Wakes the reader if it waits, or lets half the ring fill up; once a turn at most.
    @inline(always)
    func turnEnded() {
        guard hasNews else { return }
        hasNews = false
        ring.ringIfAwaited()
        if position &- taken > RecordRing.capacity / 2 { hurry() }
    }

    private func hurry() {
        taken = ring.taken.load(ordering: .acquiring)
        guard position &- taken > RecordRing.capacity / 2,
            position &- rungAt > RecordRing.capacity / 4
        else { return }
        rungAt = position
        ring.waker.ring()
    }
}

/// A record while `RecordRing.take` looks at it.
@safe
struct RecordView {
    private let start: UnsafeMutableRawPointer

    @unsafe
    fileprivate init(_ start: UnsafeMutableRawPointer) { unsafe self.start = unsafe start }

    func head<Head: BitwiseCopyable>(_: Head.Type) -> Head { unsafe start.load(as: Head.self) }

    /// The text that begins so many bytes behind the head. The two are what was written.
    func text<Head>(after _: Head.Type, at offset: Int, count: Int) -> ByteView {
        precondition(
            offset >= 0 && count >= 0 && offset &+ count <= RecordRing.recordBytesMax,
            "a text outside of its record")
        let first = unsafe start + (MemoryLayout<Head>.stride &+ offset)
        return unsafe ByteView(first.assumingMemoryBound(to: UInt8.self), count)
    }
}
