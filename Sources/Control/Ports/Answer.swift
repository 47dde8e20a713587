internal import Proxy
internal import Synchronization

/// What a worker answers to a message, once it does.
final class Answer<Value: Sendable>: Sendable {
    private let box = Mutex<Value?>(nil)
    private let bell = Bell()

    func give(_ value: Value) {
        box.withLock { $0 = value }
        bell?.waker.ring()
    }

    /// Waits until `deadline` on the monotonic clock; nil where the worker has not answered.
    func value(by deadline: Int64) -> Value? {
        while true {
            if let value = box.withLock({ $0 }) { return value }
            let left = deadline - Waiting.now()
            guard left > 0, let bell else { return nil }
            Waiting.wait(
                for: [bell.descriptor], milliseconds: Int32(clamping: left / 1_000_000 + 1))
        }
    }
}

extension Answer<[ConnectionFacts]> {
    /// Asks a worker for some of its connections.
    convenience init(_ mailbox: Mailbox, limit: Int) {
        self.init()
        mailbox.post(.connections(limit: limit) { self.give($0) })
    }
}
