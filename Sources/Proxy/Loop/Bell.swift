internal import CLinux
internal import Glibc

/// An eventfd: rung from any thread, heard by whoever polls its descriptor.
public final class Bell: Sendable {
    public let descriptor: Int32

    /// Nil where the process has no descriptor left.
    public init?() {
        descriptor = eventfd(0, Int32(EFD_CLOEXEC) | Int32(EFD_NONBLOCK))
        guard descriptor >= 0 else { return nil }
    }

    deinit { close(descriptor) }

    public var waker: Waker { Waker(descriptor: descriptor) }

    /// Heard: it is quiet until it is rung again.
    public func silence() {
        var count: UInt64 = 0
        unsafe _ = read(descriptor, &count, 8)
    }
}

extension Waker {
    /// Rings; may be called from any thread.
    public func ring() {
        guard let descriptor else { return }
        var one: UInt64 = 1
        unsafe _ = write(descriptor, &one, 8)
    }
}
