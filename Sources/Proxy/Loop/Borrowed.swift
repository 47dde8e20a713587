/// A reference to an object that someone else keeps alive; using it counts nothing.
///
/// `unowned(unsafe)` still retains around each call; this does not (measured: 1.4k instructions a
/// call, of 36k). Its owner must outlive it: connections are freed only between loop turns, after
/// everything that names them was detached, and exchanges and attempts never (pooled).
@safe
struct Borrowed<Object: AnyObject>: Equatable {
    private let reference: Unmanaged<Object>

    init(_ object: Object) { unsafe reference = .passUnretained(object) }

    @unsafe
    init(_ pointer: UnsafeMutableRawPointer) { unsafe reference = .fromOpaque(pointer) }

    var pointer: UnsafeMutableRawPointer { unsafe reference.toOpaque() }

    @inline(always)
    func use<Result>(_ body: (Object) -> Result) -> Result {
        unsafe reference._withUnsafeGuaranteedRef(body)
    }

    /// A counted reference, for what is not on the request path.
    var object: Object { unsafe reference.takeUnretainedValue() }

    static func == (left: Borrowed, right: Borrowed) -> Bool {
        unsafe left.reference.toOpaque() == right.reference.toOpaque()
    }
}
