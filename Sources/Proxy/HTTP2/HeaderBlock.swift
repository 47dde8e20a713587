internal import CNghttp2

/// The fields of one HEADERS frame, as nghttp2 takes them; bytes and list live in an arena.
@safe
struct HeaderBlock: BitwiseCopyable {
    private static let fieldsAtFirst = 16
    private(set) var fields: UnsafeMutablePointer<nghttp2_nv>?
    private(set) var count = 0
    private var capacity = 0

    // MARK: Adding fields; false where memory ran out

    /// Copies a field's bytes into the arena; gives where they are now.
    @inline(always)
    mutating func append(
        copying name: ByteView, _ value: ByteView, flags: UInt8, in arena: inout HeaderArena,
        from pool: BlockPool
    ) -> Bool {
        if count == capacity { guard grow(in: &arena, from: pool) else { return false } }
        guard let fields = unsafe fields,
            let copy = unsafe arena.copy(name, value, from: pool)
        else { return false }
        let bytes = unsafe copy.assumingMemoryBound(to: UInt8.self)
        unsafe fields[count] = nghttp2_nv(
            name: bytes, value: bytes + name.count, namelen: name.count, valuelen: value.count,
            flags: flags | Self.noCopy)
        count &+= 1
        return true
    }

    /// Adds a field whose bytes outlive the block already.
    @inline(always)
    mutating func append(
        _ name: ByteView, _ value: ByteView, isIndexed: Bool = true,
        in arena: inout HeaderArena, from pool: BlockPool
    ) -> Bool {
        if count == capacity { guard grow(in: &arena, from: pool) else { return false } }
        guard let fields = unsafe fields else { return false }
        let hint = isIndexed ? 0 : UInt8(NGHTTP2_NV_FLAG_NO_INDEX.rawValue)
        unsafe fields[count] = nghttp2_nv(
            name: UnsafeMutablePointer(mutating: name.pointer),
            value: UnsafeMutablePointer(mutating: value.pointer), namelen: name.count,
            valuelen: value.count, flags: Self.noCopy | hint)
        count &+= 1
        return true
    }

    /// Adds a field of another block, sharing its bytes.
    @inline(always)
    mutating func append(
        from other: HeaderBlock, at index: Int, in arena: inout HeaderArena, _ pool: BlockPool
    ) -> Bool {
        if count == capacity {
            let needed = max(Self.fieldsAtFirst, other.count &+ 4)
            guard grow(in: &arena, from: pool, atLeast: needed) else { return false }
        }
        precondition(index >= 0 && index < other.count, "no such field")
        guard let fields = unsafe fields, let source = unsafe other.fields else { return false }
        unsafe fields[count] = source[index]
        count &+= 1
        return true
    }

    /// Adds a field of another block, with bytes of its own.
    mutating func append(
        copyOf other: HeaderBlock, at index: Int, in arena: inout HeaderArena, from pool: BlockPool
    ) -> Bool {
        let flags = unsafe other.fields?[index].flags ?? 0
        return append(
            copying: other.name(index), other.value(index), flags: flags, in: &arena, from: pool)
    }

    // MARK: Looking at fields

    func name(_ index: Int) -> ByteView {
        precondition(index >= 0 && index < count, "no such field")
        guard let field = unsafe fields?[index] else { return .empty }
        return unsafe ByteView(field.name, field.namelen)
    }

    func value(_ index: Int) -> ByteView {
        precondition(index >= 0 && index < count, "no such field")
        guard let field = unsafe fields?[index] else { return .empty }
        return unsafe ByteView(field.value, field.valuelen)
    }

    mutating func setValue(_ index: Int, _ value: ByteView) {
        precondition(index >= 0 && index < count, "no such field")
        unsafe fields?[index].value = UnsafeMutablePointer(mutating: value.pointer)
        unsafe fields?[index].valuelen = value.count
    }

    /// The fields behind it move up.
    mutating func remove(at index: Int) {
        precondition(index >= 0 && index < count, "no such field")
        count &-= 1
        guard let fields = unsafe fields else { return }
        unsafe (fields + index).update(from: fields + index + 1, count: count - index)
    }

    mutating func removeAll() { count = 0 }

    private mutating func grow(
        in arena: inout HeaderArena, from pool: BlockPool, atLeast: Int = fieldsAtFirst
    ) -> Bool {
        let larger = max(capacity * 2, atLeast)
        let size = unsafe larger * MemoryLayout<nghttp2_nv>.stride
        guard let memory = unsafe arena.allocate(size, from: pool) else { return false }
        let list = unsafe memory.bindMemory(to: nghttp2_nv.self, capacity: larger)
        if let fields = unsafe fields { unsafe list.update(from: fields, count: count) }
        unsafe fields = list
        capacity = larger
        return true
    }

    private static var noCopy: UInt8 {
        UInt8(NGHTTP2_NV_FLAG_NO_COPY_NAME.rawValue | NGHTTP2_NV_FLAG_NO_COPY_VALUE.rawValue)
    }
}

extension nghttp2_vec {
    var view: ByteView { unsafe ByteView(base, len) }
}

extension HeaderArena {
    /// Copies bytes that are about to go away.
    mutating func keep(_ bytes: Span<UInt8>, from pool: BlockPool) -> ByteView? {
        guard let copy = unsafe allocate(max(bytes.count, 1), from: pool) else { return nil }
        let start = unsafe copy.assumingMemoryBound(to: UInt8.self)
        for index in bytes.indices { unsafe start[index] = bytes[index] }
        return unsafe ByteView(start, bytes.count)
    }

    /// Copies two runs of bytes one after the other.
    mutating func join(
        _ first: Span<UInt8>, _ second: Span<UInt8>, from pool: BlockPool
    ) -> ByteView? {
        let count = first.count + second.count
        guard let copy = unsafe allocate(max(count, 1), from: pool) else { return nil }
        let start = unsafe copy.assumingMemoryBound(to: UInt8.self)
        for index in first.indices { unsafe start[index] = first[index] }
        for index in second.indices { unsafe start[first.count + index] = second[index] }
        return unsafe ByteView(start, count)
    }
}
