internal import Synchronization

/// Numbers that one worker writes and any thread may read at any time.
///
/// Atomic words, loaded and stored on their own: as the worker is alone in writing them, adding
/// needs no locked instruction, and a reader sees each word whole, if not all from one moment. No
/// worker is asked or waited for when they are read, so that one that hangs is seen hanging.
@safe
public final class CounterBlock: @unchecked Sendable {
    private let words: UnsafeMutablePointer<Atomic<UInt64>>
    public let count: Int

    public init(count: Int) {
        self.count = count
        unsafe words = .allocate(capacity: count)
        for index in 0..<count { unsafe (words + index).initialize(to: Atomic(0)) }
    }

    deinit {
        unsafe words.deinitialize(count: count)
        unsafe words.deallocate()
    }

    /// Only for the worker whose block it is.
    @inline(always)
    func add(_ amount: UInt64, at index: Int) {
        precondition(index >= 0 && index < count, "no such counter")
        let old = unsafe words[index].load(ordering: .relaxed)
        unsafe words[index].store(old &+ amount, ordering: .relaxed)
    }

    /// Only for the worker whose block it is.
    func set(_ value: UInt64, at index: Int) {
        precondition(index >= 0 && index < count, "no such counter")
        unsafe words[index].store(value, ordering: .relaxed)
    }

    public subscript(index: Int) -> UInt64 {
        precondition(index >= 0 && index < count, "no such counter")
        return unsafe words[index].load(ordering: .relaxed)
    }
}
