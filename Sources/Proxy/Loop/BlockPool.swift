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

    private let freeBlocks: UnsafeMutablePointer<UnsafeMutableRawPointer?>
    private let pages: PageRange
    private let pagesStart: UInt
    /// Of small blocks: bytes that were got from malloc, and those of them that wait for reuse.
    private var ownedBytes = 0
    private var keptBytes = 0

    /// Bytes of small blocks handed out and not yet returned, for the census.
    var usedBytes: Int { ownedBytes - keptBytes }

    init() {
        let classes = Self.smallBytesMax / Self.granuleBytes + 1
        unsafe freeBlocks = .allocate(capacity: classes)
        unsafe freeBlocks.initialize(repeating: nil, count: classes)
        pages = PageRange()
        pagesStart = pages.firstAddress
    }

    deinit {
        for sizeClass in 0...Self.smallBytesMax / Self.granuleBytes {
            while let block = unsafe freeBlocks[sizeClass] {
                unsafe freeBlocks[sizeClass] = block.load(as: UnsafeMutableRawPointer?.self)
                unsafe free(block - Self.prefixBytes)
            }
        }
        unsafe freeBlocks.deallocate()
    }

    @inline(always)
    func allocate(_ byteCount: Int) -> UnsafeMutableRawPointer? {
        let sizeClass = (byteCount &+ (Self.granuleBytes - 1)) / Self.granuleBytes
        guard sizeClass <= Self.smallBytesMax / Self.granuleBytes else {
            return unsafe allocateLarge(byteCount)
        }
        guard let block = unsafe freeBlocks[sizeClass] else {
            return unsafe fresh(sizeClass &* Self.granuleBytes, sizeClass: sizeClass)
        }
        unsafe freeBlocks[sizeClass] = block.load(as: UnsafeMutableRawPointer?.self)
        keptBytes &-= sizeClass &* Self.granuleBytes
        return unsafe block
    }

    func allocateZeroed(_ byteCount: Int) -> UnsafeMutableRawPointer? {
        if byteCount >= PageRange.pageBytes, let block = unsafe pages.take(byteCount) {
            return unsafe block
        }
        let block = unsafe allocate(byteCount)
        unsafe block?.initializeMemory(as: UInt8.self, repeating: 0, count: byteCount)
        return unsafe block
    }

    @inline(always)
    func release(_ block: UnsafeMutableRawPointer?) {
        guard let block = unsafe block else { return }
        if unsafe isInPages(block) { return unsafe pages.give(block) }
        let sizeClass = unsafe Self.sizeClass(of: block)
        let byteCount = sizeClass &* Self.granuleBytes
        guard sizeClass != 0, keptBytes < Self.keptBytesMax else {
            ownedBytes &-= byteCount
            unsafe free(block - Self.prefixBytes)
            return
        }
        unsafe block.storeBytes(of: freeBlocks[sizeClass], as: UnsafeMutableRawPointer?.self)
        unsafe freeBlocks[sizeClass] = block
        keptBytes &+= byteCount
    }

    func resize(_ block: UnsafeMutableRawPointer?, to byteCount: Int) -> UnsafeMutableRawPointer? {
        guard let block = unsafe block else { return unsafe allocate(byteCount) }
        var capacity = 0
        if unsafe isInPages(block) {
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
    private func isInPages(_ block: UnsafeMutableRawPointer) -> Bool {
        UInt(bitPattern: block) &- pagesStart < PageRange.byteCount
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
