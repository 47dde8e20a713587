internal import CNghttp2
internal import Glibc

/// Memory for everything short-lived: nghttp2's allocations and header arenas. One per worker.
///
/// Three kinds of block, told apart by a word before the block or by its address:
/// - small, up to 2 KiB: size classes of 32 bytes, recycled through free lists;
/// - pages: nghttp2's frame buffer (16,394 bytes, of which a quiet connection uses a few hundred)
///   and its zeroed stream map, from a reserved range whose pages cost nothing until touched and
/// are
///   given back to the kernel when freed: 12 kB less for each idle connection;
/// - large: straight from malloc.
@safe
final class BlockPool {
    private static let granuleBytes = 32
    private static let smallBytesMax = 2048
    private static let prefixBytes = 16
    /// Small blocks kept for reuse; what is freed beyond goes back to malloc.
    private static let keptBytesMax = 8 << 20

    /// What nearly every call needs and nothing else, where C callbacks find it without an object:
    /// a worker makes 30 such calls for each call that it forwards.
    @unsafe
    private struct Shelf {
        let freeBlocks: UnsafeMutablePointer<UnsafeMutableRawPointer?>
        let pagesStart: UInt
        /// Bytes of small blocks that wait for reuse.
        var keptBytes = 0
        let pool: Unmanaged<BlockPool>
    }

    private let shelf: UnsafeMutablePointer<Shelf>
    private let pages: PageRange
    /// Bytes of small blocks that were got from malloc.
    private var ownedBytes = 0

    /// Bytes of small blocks handed out and not yet returned, for the census.
    var usedBytes: Int { unsafe ownedBytes - shelf.pointee.keptBytes }

    init() {
        let classes = Self.smallBytesMax / Self.granuleBytes + 1
        let freeBlocks = UnsafeMutablePointer<UnsafeMutableRawPointer?>.allocate(capacity: classes)
        unsafe freeBlocks.initialize(repeating: nil, count: classes)
        pages = PageRange()
        unsafe shelf = .allocate(capacity: 1)
        unsafe shelf.initialize(
            to: Shelf(
                freeBlocks: freeBlocks, pagesStart: pages.firstAddress,
                pool: .passUnretained(self)))
    }

    deinit {
        let freeBlocks = unsafe shelf.pointee.freeBlocks
        for sizeClass in 0...Self.smallBytesMax / Self.granuleBytes {
            while let block = unsafe freeBlocks[sizeClass] {
                unsafe freeBlocks[sizeClass] = block.load(as: UnsafeMutableRawPointer?.self)
                unsafe free(block - Self.prefixBytes)
            }
        }
        unsafe freeBlocks.deallocate()
        unsafe shelf.deallocate()
    }

    @inline(never)
    func allocate(_ byteCount: Int) -> UnsafeMutableRawPointer? {
        unsafe Self.take(byteCount, shelf)
    }

    /// Nearly always a block that waits for reuse; all else is kept out of the way of that.
    @inline(always)
    private static func take(
        _ byteCount: Int, _ shelf: UnsafeMutablePointer<Shelf>
    ) -> UnsafeMutableRawPointer? {
        let granule = UInt(granuleBytes)
        let sizeClass = UInt(bitPattern: byteCount &+ (granuleBytes - 1)) / granule
        let freeBlocks = unsafe shelf.pointee.freeBlocks
        guard sizeClass <= smallBytesMax / granuleBytes,
            let block = unsafe freeBlocks[Int(bitPattern: sizeClass)]
        else { return unsafe allocateSlowly(byteCount, shelf) }
        unsafe freeBlocks[Int(bitPattern: sizeClass)] =
            block.load(as: UnsafeMutableRawPointer?.self)
        unsafe shelf.pointee.keptBytes &-= Int(bitPattern: sizeClass &* granule)
        return unsafe block
    }

    @inline(never)
    private static func allocateSlowly(
        _ byteCount: Int, _ shelf: UnsafeMutablePointer<Shelf>
    ) -> UnsafeMutableRawPointer? {
        unsafe shelf.pointee.pool._withUnsafeGuaranteedRef { pool in
            let sizeClass = (byteCount &+ (granuleBytes - 1)) / granuleBytes
            guard byteCount >= 0, sizeClass <= smallBytesMax / granuleBytes else {
                return unsafe pool.allocateLarge(byteCount)
            }
            return unsafe pool.fresh(sizeClass &* granuleBytes, sizeClass: sizeClass)
        }
    }

    func allocateZeroed(_ byteCount: Int) -> UnsafeMutableRawPointer? {
        if byteCount >= PageRange.pageBytes, let block = unsafe pages.take(byteCount) {
            return unsafe block
        }
        let block = unsafe allocate(byteCount)
        unsafe block?.initializeMemory(as: UInt8.self, repeating: 0, count: byteCount)
        return unsafe block
    }

    @inline(never)
    func release(_ block: UnsafeMutableRawPointer?) { unsafe Self.give(block, shelf) }

    @inline(always)
    private static func give(
        _ block: UnsafeMutableRawPointer?, _ shelf: UnsafeMutablePointer<Shelf>
    ) {
        guard let block = unsafe block else { return }
        guard unsafe !isInPages(block, shelf.pointee.pagesStart),
            case let sizeClass = unsafe sizeClass(of: block), sizeClass != 0,
            unsafe shelf.pointee.keptBytes < keptBytesMax
        else { return unsafe releaseSlowly(block, shelf) }
        let freeBlocks = unsafe shelf.pointee.freeBlocks
        unsafe block.storeBytes(of: freeBlocks[sizeClass], as: UnsafeMutableRawPointer?.self)
        unsafe freeBlocks[sizeClass] = block
        unsafe shelf.pointee.keptBytes &+= sizeClass &* granuleBytes
    }

    @inline(never)
    private static func releaseSlowly(
        _ block: UnsafeMutableRawPointer, _ shelf: UnsafeMutablePointer<Shelf>
    ) {
        unsafe shelf.pointee.pool._withUnsafeGuaranteedRef { pool in
            if unsafe isInPages(block, shelf.pointee.pagesStart) {
                return unsafe pool.pages.give(block)
            }
            pool.ownedBytes &-= unsafe sizeClass(of: block) &* granuleBytes
            unsafe free(block - prefixBytes)
        }
    }

    func resize(_ block: UnsafeMutableRawPointer?, to byteCount: Int) -> UnsafeMutableRawPointer? {
        guard let block = unsafe block else { return unsafe allocate(byteCount) }
        var capacity = 0
        if unsafe Self.isInPages(block, shelf.pointee.pagesStart) {
            capacity = unsafe pages.byteCount(of: block)
        } else {
            let sizeClass = unsafe Self.sizeClass(of: block)
            if sizeClass == 0 {
                let size = byteCount &+ Self.prefixBytes
                let start = unsafe realloc(block - Self.prefixBytes, size)
                return unsafe start.map { unsafe $0 + Self.prefixBytes }
            }
            capacity = sizeClass * Self.granuleBytes
        }
        if byteCount <= capacity { return unsafe block }
        guard let larger = unsafe allocate(byteCount) else { return nil }
        unsafe larger.copyMemory(from: block, byteCount: capacity)
        unsafe release(block)
        return unsafe larger
    }

    /// 16 to 20 KiB is nghttp2's frame buffer; larger than that is rare and short-lived.
    private func allocateLarge(_ byteCount: Int) -> UnsafeMutableRawPointer? {
        if byteCount > 16_384, byteCount <= 20_480, let block = unsafe pages.take(byteCount) {
            return unsafe block
        }
        return unsafe fresh(byteCount, sizeClass: 0)
    }

    @inline(always)
    private static func isInPages(_ block: UnsafeMutableRawPointer, _ start: UInt) -> Bool {
        UInt(bitPattern: block) &- start < PageRange.byteCount
    }

    @inline(always)
    private static func sizeClass(of block: UnsafeMutableRawPointer) -> Int {
        unsafe (block - prefixBytes).load(as: Int.self)
    }

    private func fresh(_ byteCount: Int, sizeClass: Int) -> UnsafeMutableRawPointer? {
        guard let start = unsafe malloc(byteCount &+ Self.prefixBytes) else { return nil }
        unsafe start.storeBytes(of: sizeClass, as: Int.self)
        ownedBytes &+= sizeClass &* Self.granuleBytes
        return unsafe start + Self.prefixBytes
    }
}

extension BlockPool {
    /// What nghttp2 allocates with. Its user data is the shelf.
    var libraryMemory: nghttp2_mem {
        unsafe nghttp2_mem(
            mem_user_data: shelf,
            malloc: { size, user in
                guard let user = unsafe user else { return nil }
                return unsafe BlockPool.take(size, user.assumingMemoryBound(to: Shelf.self))
            },
            free: { block, user in
                guard let user = unsafe user else { return }
                unsafe BlockPool.give(block, user.assumingMemoryBound(to: Shelf.self))
            },
            calloc: { count, size, user in
                let (bytes, overflow) = count.multipliedReportingOverflow(by: size)
                guard let user = unsafe user, !overflow else { return nil }
                let shelf = unsafe user.assumingMemoryBound(to: Shelf.self)
                return unsafe shelf.pointee.pool._withUnsafeGuaranteedRef {
                    unsafe $0.allocateZeroed(bytes)
                }
            },
            realloc: { block, size, user in
                guard let user = unsafe user else { return nil }
                let shelf = unsafe user.assumingMemoryBound(to: Shelf.self)
                return unsafe shelf.pointee.pool._withUnsafeGuaranteedRef {
                    unsafe $0.resize(block, to: size)
                }
            })
    }
}

/// Blocks of whole pages out of one reserved range. A freed block's pages go back to the kernel, so
/// that every block taken is zero and costs only what is touched of it.
@safe
final class PageRange {
    static let pageBytes = 4096
    private static let pagesMax = 1 << 17
    private static let blockPagesMax = 8
    private let start: UnsafeMutableRawPointer?
    /// Indexed by a block's first page: its page count, and the next free block's page plus one.
    private let counts: UnsafeMutablePointer<UInt8>
    private let links: UnsafeMutablePointer<Int32>
    private var free = [Int32](repeating: 0, count: PageRange.blockPagesMax + 1)
    private var used = 0

    init() {
        let size = Self.pagesMax * Self.pageBytes
        let protection = PROT_READ | PROT_WRITE
        let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
        let range = unsafe mmap(nil, size, protection, flags, -1, 0)
        unsafe start = range == MAP_FAILED ? nil : range
        // calloc of this size is lazily zeroed pages as well.
        unsafe counts = calloc(Self.pagesMax, 1).bindMemory(to: UInt8.self, capacity: Self.pagesMax)
        unsafe links = calloc(Self.pagesMax, 4).bindMemory(to: Int32.self, capacity: Self.pagesMax)
    }

    deinit {
        if let start = unsafe start { unsafe munmap(start, Self.pagesMax * Self.pageBytes) }
        unsafe Glibc.free(counts)
        unsafe Glibc.free(links)
    }

    static var byteCount: UInt { UInt(pagesMax * pageBytes) }

    /// Where the range begins; it is `byteCount` long.
    var firstAddress: UInt { unsafe UInt(bitPattern: start) }

    /// Zeroed; nil where the range is used up or the block too large for it.
    func take(_ byteCount: Int) -> UnsafeMutableRawPointer? {
        let count = (byteCount + Self.pageBytes - 1) / Self.pageBytes
        guard let start = unsafe start, count <= Self.blockPagesMax else { return nil }
        if free[count] > 0 {
            let page = Int(free[count] - 1)
            unsafe free[count] = links[page]
            return unsafe start + page * Self.pageBytes
        }
        guard used + count <= Self.pagesMax else { return nil }
        defer { used += count }
        unsafe counts[used] = UInt8(count)
        return unsafe start + used * Self.pageBytes
    }

    func byteCount(of block: UnsafeMutableRawPointer) -> Int {
        unsafe Int(counts[page(of: block)]) * Self.pageBytes
    }

    func give(_ block: UnsafeMutableRawPointer) {
        let page = unsafe page(of: block)
        let count = unsafe Int(counts[page])
        unsafe madvise(block, count * Self.pageBytes, Int32(MADV_DONTNEED))
        unsafe links[page] = free[count]
        free[count] = Int32(page + 1)
    }

    private func page(of block: UnsafeMutableRawPointer) -> Int {
        unsafe Int(UInt(bitPattern: block) &- UInt(bitPattern: start)) / Self.pageBytes
    }
}
