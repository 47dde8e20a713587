/// Memory for one exchange's or attempt's header fields. It only grows until its owner ends, so
/// whatever nghttp2 still has queued by pointer stays as it was: response HEADERS and trailers that
/// arrive in one read never share storage.
@safe
struct HeaderArena: ~Copyable {
    static let chunkBytes = 2016
    private static let linkBytes = 16
    private var chunk: UnsafeMutableRawPointer?
    private var used = 0
    private var capacity = 0

    /// `byteCount` bytes aligned to 8; nil where memory ran out.
    @inline(always)
    mutating func allocate(_ byteCount: Int, from pool: BlockPool) -> UnsafeMutableRawPointer? {
        let rounded = (byteCount &+ 7) & ~7
        if rounded > capacity &- used { guard addChunk(rounded, from: pool) else { return nil } }
        defer { used &+= rounded }
        return unsafe chunk.map { unsafe $0 + used }
    }

    /// Copies name and value side by side, as one allocation.
    @inline(always)
    mutating func copy(
        _ name: ByteView, _ value: ByteView, from pool: BlockPool
    ) -> UnsafeMutableRawPointer? {
        guard let copy = unsafe allocate(name.count &+ value.count, from: pool) else { return nil }
        if let start = unsafe name.pointer {
            unsafe copy.copyMemory(from: start, byteCount: name.count)
        }
        if let start = unsafe value.pointer {
            unsafe (copy + name.count).copyMemory(from: start, byteCount: value.count)
        }
        return unsafe copy
    }

    /// Gives back all but the first chunk, which the next exchange will want.
    mutating func reset(to pool: BlockPool) {
        while let current = unsafe chunk {
            guard let earlier = unsafe current.load(as: UnsafeMutableRawPointer?.self) else {
                break
            }
            unsafe pool.release(current)
            unsafe chunk = earlier
        }
        used = Self.linkBytes
        capacity = unsafe chunk == nil ? 0 : Self.chunkBytes
        if unsafe chunk == nil { used = 0 }
    }

    mutating func releaseAll(to pool: BlockPool) {
        reset(to: pool)
        unsafe pool.release(chunk)
        unsafe chunk = nil
        used = 0
        capacity = 0
    }

    /// A field larger than a chunk gets one of its own; the first chunk always has the usual size.
    private mutating func addChunk(_ byteCount: Int, from pool: BlockPool) -> Bool {
        let needed = byteCount + Self.linkBytes
        if needed > Self.chunkBytes, unsafe chunk == nil {
            guard addChunk(8, from: pool) else { return false }
        }
        let size = max(needed, Self.chunkBytes)
        guard let next = unsafe pool.allocate(size) else { return false }
        unsafe next.storeBytes(of: chunk, as: UnsafeMutableRawPointer?.self)
        unsafe chunk = next
        used = Self.linkBytes
        capacity = size
        return true
    }
}
