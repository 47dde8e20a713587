/// Body bytes on their way from one side to the other, in pooled segments. Bounded by the window
/// granted to the sender: its stream is credited only for what was passed on.
///
/// A response leaves by `move`. A request is read through cursors, one for each of its attempts,
/// and stays until `drop`, so that another attempt can read it from its beginning.
@safe
struct BodyQueue: ~Copyable {
    private var first: UnsafeMutableRawPointer?
    private var last: UnsafeMutableRawPointer?
    private var readOffset = 0
    private var writeOffset = 0
    /// Bytes that are in the queue.
    private(set) var count = 0
    /// Bytes that were before them.
    private(set) var dropped: Int64 = 0
    /// All bytes that came.
    var total: Int64 { dropped &+ Int64(count) }

    mutating func append(_ bytes: RawSpan, from pool: SegmentPool) {
        unsafe bytes.withUnsafeBytes { source in
            guard let start = source.baseAddress else { return }
            var taken = 0
            while taken < source.count {
                let place = unsafe placeToWrite(from: pool)
                let room = SegmentPool.segmentBytes &- writeOffset
                let portion = min(source.count &- taken, room)
                unsafe place.copyMemory(from: start + taken, byteCount: portion)
                writeOffset &+= portion
                taken &+= portion
            }
        }
        count &+= bytes.byteCount
    }

    mutating func append(_ bytes: [UInt8], from pool: SegmentPool) {
        unsafe append(bytes.span.bytes, from: pool)
    }

    /// Moves the first `byteCount` bytes to the output.
    mutating func move(_ byteCount: Int, to output: OutputBuffer, returning pool: SegmentPool) {
        precondition(byteCount <= count, "more than the queue holds")
        var left = byteCount
        while left > 0, let segment = unsafe first {
            let end = unsafe segment == last ? writeOffset : SegmentPool.segmentBytes
            let portion = min(left, end &- readOffset)
            unsafe output.append(segment + readOffset, portion)
            readOffset &+= portion
            left &-= portion
            if readOffset == end { dropFirst(to: pool) }
        }
        count &-= byteCount
        dropped &+= Int64(byteCount)
    }

    /// Bytes that a reader has not had yet; none once they were removed.
    @inline(always)
    func unread(from cursor: BodyCursor) -> Int {
        count == 0 ? 0 : Int(truncatingIfNeeded: total &- cursor.position)
    }

    /// Copies the reader's next `byteCount` bytes to the output; they stay.
    @inline(always)
    func copy(_ byteCount: Int, from cursor: inout BodyCursor, to output: OutputBuffer) {
        precondition(byteCount <= unread(from: cursor), "more than the queue holds")
        if unsafe cursor.segment == nil {
            unsafe cursor.segment = first
            cursor.offset = readOffset
        }
        var left = byteCount
        while left > 0, let segment = unsafe cursor.segment {
            let end = unsafe segment == last ? writeOffset : SegmentPool.segmentBytes
            let portion = min(left, end &- cursor.offset)
            unsafe output.append(segment + cursor.offset, portion)
            cursor.offset &+= portion
            left &-= portion
            if left > 0 {
                unsafe cursor.segment = SegmentPool.next(after: segment)
                cursor.offset = 0
            }
        }
        cursor.position &+= Int64(byteCount)
    }

    /// Drops what the only reader that is left has had.
    @inline(always)
    mutating func drop(before cursor: inout BodyCursor, returning pool: SegmentPool) {
        guard unsafe cursor.segment != nil, count > 0 else { return }
        let end = total
        if cursor.position == end {
            while unsafe first != nil { dropFirst(to: pool) }
            unsafe cursor.segment = nil
        } else {
            while unsafe first != cursor.segment { dropFirst(to: pool) }
            readOffset = cursor.offset
        }
        count = Int(truncatingIfNeeded: end &- cursor.position)
        dropped = cursor.position
    }

    /// A copy of all of it, for what is not on the path of a request.
    var bytes: [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count)
        forEachRun { run in
            unsafe run.withUnsafeBytes { unsafe bytes += $0 }
        }
        return bytes
    }

    /// A copy of all that another has.
    mutating func append(copyOf other: borrowing BodyQueue, from pool: SegmentPool) {
        other.forEachRun { append($0, from: pool) }
    }

    /// Its bytes, a segment at a time.
    private func forEachRun(_ body: (RawSpan) -> Void) {
        var segment = unsafe first
        var offset = readOffset
        while let current = unsafe segment {
            let end = unsafe current == last ? writeOffset : SegmentPool.segmentBytes
            unsafe body(RawSpan(_unsafeStart: current + offset, byteCount: end - offset))
            unsafe segment = current == last ? nil : SegmentPool.next(after: current)
            offset = 0
        }
    }

    mutating func removeAll(returning pool: SegmentPool) {
        while unsafe first != nil { dropFirst(to: pool) }
        dropped &+= Int64(count)
        count = 0
    }

    /// As new.
    mutating func reset(returning pool: SegmentPool) {
        removeAll(returning: pool)
        dropped = 0
    }

    @inline(always)
    private mutating func placeToWrite(from pool: SegmentPool) -> UnsafeMutableRawPointer {
        if let last = unsafe last, writeOffset < SegmentPool.segmentBytes {
            return unsafe last + writeOffset
        }
        let segment = unsafe pool.take()
        if let last = unsafe last {
            unsafe SegmentPool.link(last, to: segment)
        } else {
            unsafe first = segment
            readOffset = 0
        }
        unsafe last = segment
        writeOffset = 0
        return unsafe segment
    }

    @inline(always)
    private mutating func dropFirst(to pool: SegmentPool) {
        guard let segment = unsafe first else { return }
        if unsafe segment == last {
            unsafe first = nil
            unsafe last = nil
        } else {
            unsafe first = SegmentPool.next(after: segment)
        }
        readOffset = 0
        unsafe pool.give(segment)
    }
}

/// How far one reader of a queue is. Valid until what it has read was dropped for another.
@safe
struct BodyCursor: BitwiseCopyable {
    fileprivate var segment: UnsafeMutableRawPointer?
    fileprivate var offset = 0
    /// Bytes read.
    fileprivate(set) var position: Int64 = 0
}

/// Segments of body, kept for reuse up to a limit. A segment's link sits before its bytes.
@safe
final class SegmentPool {
    static let segmentBytes = 4080
    private static let keptMax = 1024
    private static let linkBytes = 16
    private var free: UnsafeMutableRawPointer?
    private var kept = 0
    /// Segments handed out, for the census.
    private(set) var used = 0

    @inline(always)
    func take() -> UnsafeMutableRawPointer {
        used &+= 1
        guard let segment = unsafe free else {
            let start = UnsafeMutableRawPointer.allocate(
                byteCount: SegmentPool.segmentBytes + SegmentPool.linkBytes, alignment: 16)
            return unsafe start + SegmentPool.linkBytes
        }
        unsafe free = SegmentPool.next(after: segment)
        kept &-= 1
        return unsafe segment
    }

    @inline(always)
    func give(_ segment: UnsafeMutableRawPointer) {
        used &-= 1
        guard kept < SegmentPool.keptMax else {
            unsafe (segment - SegmentPool.linkBytes).deallocate()
            return
        }
        unsafe SegmentPool.link(segment, to: free)
        unsafe free = segment
        kept &+= 1
    }

    deinit {
        while let segment = unsafe free {
            unsafe free = SegmentPool.next(after: segment)
            unsafe (segment - SegmentPool.linkBytes).deallocate()
        }
    }

    @inline(always)
    static func link(_ segment: UnsafeMutableRawPointer, to next: UnsafeMutableRawPointer?) {
        unsafe (segment - linkBytes).storeBytes(of: next, as: UnsafeMutableRawPointer?.self)
    }

    @inline(always)
    static func next(after segment: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer? {
        unsafe (segment - linkBytes).load(as: UnsafeMutableRawPointer?.self)
    }
}
