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

    func hasPrefix(_ text: StaticString) -> Bool {
        let length = text.utf8CodeUnitCount
        guard count >= length else { return false }
        for index in 0..<length where unsafe start?[index] != text.utf8Start[index] { return false }
        return true
    }

    func hasSameBytes(as bytes: [UInt8]) -> Bool {
        guard count == bytes.count, let start = unsafe start else { return count == bytes.count }
        return unsafe bytes.withUnsafeBytes { bytes in
            guard let other = bytes.baseAddress else { return true }
            return unsafe memcmp(start, other, count) == 0
        }
    }

    /// Without the first `number` bytes.
    func dropFirst(_ number: Int) -> ByteView {
        precondition(number >= 0 && number <= count, "beyond the bytes")
        guard let start = unsafe start else { return self }
        return unsafe ByteView(start + number, count - number)
    }

    func contains(_ byte: UInt8) -> Bool {
        guard let start = unsafe start else { return false }
        return unsafe memchr(start, Int32(byte), count) != nil
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
