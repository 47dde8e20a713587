internal import Proxy
internal import Synchronization

/// What a successor asks of a running Weir, over the administration interface: that is answered on
/// a thread of its own, and the control thread has the sockets.
final class Succession: Sendable {
    enum Question: Equatable, Sendable {
        /// The listening sockets.
        case sockets
        /// The successor serves: it is time to go. `instance` is whom it means.
        case isReady(instance: String)
    }

    struct Asked: Sendable {
        let question: Question
        /// Who asks; 0 where that cannot be known.
        let processID: Int32
        let answer = Answer<HTTPResponse>()
    }

    /// A control thread that reads a large configuration is waited for, but not for ever.
    private static let patienceNanoseconds: Int64 = 5_000_000_000
    private let questions = Mutex<[Asked]>([])
    private let waker: Waker

    /// - waker: rings when there is something for `take`.
    init(waker: Waker) { self.waker = waker }

    /// Asks the control thread, and waits for its answer.
    func ask(_ question: Question, processID: Int32) -> HTTPResponse {
        let asked = Asked(question: question, processID: processID)
        questions.withLock { $0.append(asked) }
        waker.ring()
        let deadline = Waiting.now() + Self.patienceNanoseconds
        if let answer = asked.answer.value(by: deadline) { return answer }
        // What was not begun is not done later, when nobody knows of it any more.
        let isWithdrawn = questions.withLock { questions in
            let count = questions.count
            questions.removeAll { $0.answer === asked.answer }
            return questions.count < count
        }
        let last = isWithdrawn ? nil : asked.answer.value(by: deadline + Self.patienceNanoseconds)
        return last ?? HTTPResponse(503, "it is busy: try again")
    }

    /// What was asked since.
    func take() -> [Asked] {
        questions.withLock { questions in
            defer { questions = [] }
            return questions
        }
    }
}
