/// Body bytes on their way from one side to the other, in pooled segments. Bounded by the window
/// granted to the sender: its stream is credited only for what left this queue.
@safe
struct BodyQueue: ~Copyable {
    private var first: UnsafeMutableRawPointer?
    private var last: UnsafeMutableRawPointer?
    private var readOffset = 0
    private var writeOffset = 0
    private(set) var count = 0

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
    }

    /// A copy of all of it, for what is not on the path of a request.
    var bytes: [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count)
        var segment = unsafe first
        var offset = readOffset
        while let current = unsafe segment {
            let end = unsafe current == last ? writeOffset : SegmentPool.segmentBytes
            unsafe bytes += UnsafeRawBufferPointer(start: current + offset, count: end - offset)
            unsafe segment = current == last ? nil : SegmentPool.next(after: current)
            offset = 0
        }
        return bytes
    }

    mutating func removeAll(returning pool: SegmentPool) {
        while unsafe first != nil { dropFirst(to: pool) }
        count = 0
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
