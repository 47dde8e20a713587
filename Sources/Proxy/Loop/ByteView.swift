internal import Glibc

/// Bytes in an arena, or of a constant, that outlive whoever looks at them through this.
///
/// A header field's name or value is one of these: a copy is two words and counts nothing. Never
/// kept longer than the exchange or attempt whose arena it points into.
@safe
struct ByteView: BitwiseCopyable {
    private let start: UnsafePointer<UInt8>?
    let count: Int

    static var empty: ByteView { unsafe ByteView(nil, 0) }

    @unsafe @inline(always)
    init(_ start: UnsafePointer<UInt8>?, _ count: Int) {
        unsafe self.start = unsafe start
        self.count = count
    }

    init(_ constant: StaticString) {
        unsafe start = constant.utf8Start
        count = constant.utf8CodeUnitCount
    }

    /// A constant of C's, without its NUL.
    @unsafe
    init(cString: UnsafePointer<CChar>) {
        unsafe start = UnsafeRawPointer(cString).assumingMemoryBound(to: UInt8.self)
        unsafe count = strlen(cString)
    }

    var isEmpty: Bool { count == 0 }

    @unsafe @inline(always)
    var pointer: UnsafePointer<UInt8>? { unsafe start }

    @unsafe
    var buffer: UnsafeRawBufferPointer { unsafe .init(start: start, count: count) }

    @inline(always)
    func use<Result>(_ body: (Span<UInt8>) -> Result) -> Result {
        unsafe body(Span(_unsafeElements: UnsafeBufferPointer(start: start, count: count)))
    }

    func equals(_ text: StaticString) -> Bool {
        guard count == text.utf8CodeUnitCount else { return false }
        for index in 0..<count where unsafe start?[index] != text.utf8Start[index] { return false }
        return true
    }

    subscript(index: Int) -> UInt8 {
        precondition(index >= 0 && index < count, "beyond the bytes")
        return unsafe start?[index] ?? 0
    }

    /// For logs only.
    var text: String {
        unsafe String(decoding: UnsafeBufferPointer(start: start, count: count), as: UTF8.self)
    }
}
