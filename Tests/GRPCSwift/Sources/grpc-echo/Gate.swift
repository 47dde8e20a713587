import Dispatch

/// Something to wait for, once.
struct Gate: Sendable {
    private let stream: AsyncStream<Void>
    private let continuation: AsyncStream<Void>.Continuation

    init() {
        (stream, continuation) = AsyncStream.makeStream(of: Void.self)
    }

    func open() { continuation.finish() }

    /// Returns when it is open, or the task was cancelled.
    func passed() async {
        for await _ in stream {}
    }

    func open(afterMilliseconds count: Int) {
        DispatchQueue.global().asyncAfter(deadline: .now() + .milliseconds(count)) { open() }
    }
}
