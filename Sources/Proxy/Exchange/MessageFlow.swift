/// Decides what one direction of an exchange does next. Performs no I/O.
///
///     source:  expected -> open -> ended | endedWithTrailers
///     sink:    unopened -> flowing <-> waiting -> finished
///
/// The source is the stream that the message arrives on, the sink the one it is passed on to.
/// Our bug: `portion` before `advance` opened the sink. The peer's errors: none,
/// `MessageCheck` has found them. Ignored: whatever arrives after `discard`.
struct MessageFlow {
    enum Action: Equatable { case none, submitHeaders, submitHeadersOnly, resume }
    enum Portion: Equatable { case wait, more(Int), last(Int), lastBeforeTrailers(Int) }
    private enum Source { case expected, open, ended, endedWithTrailers }
    private var source: Source = .expected
    private var sink = MessageSink()
    private var isNoted = false
    private(set) var isDiscarding = false

    var hasHeaders: Bool { source != .expected }
    var hasStarted: Bool { sink.hasStarted }
    var isEnded: Bool { source == .ended || source == .endedWithTrailers }
    var endsWithoutTrailers: Bool { source == .ended }
    /// All of it was handed to the sink.
    var isFinished: Bool { sink.isFinished }

    /// What was received is only noted; true where that has to be told (once until `processed`).
    mutating func note() -> Bool {
        defer { isNoted = true }
        return !isNoted
    }

    /// The note is being looked at: the next one is to be told again.
    mutating func processed() { isNoted = false }

    mutating func headersReceived() { if source == .expected { source = .open } }
    mutating func endReceived() { if source == .open { source = .ended } }
    mutating func trailersReceived() { if source == .open { source = .endedWithTrailers } }

    /// Other trailers than the peer's follow what was received, whether or not it has ended.
    mutating func replaceEnd() { source = .endedWithTrailers }

    /// Called once for all that was noted in a read, when the sink may be opened.
    mutating func advance(available: Int) -> Action {
        isDiscarding ? .none : sink.advance(self, available: available)
    }

    /// How much the sink may take of what is available.
    mutating func portion(available: Int, limit: Int) -> Portion {
        sink.portion(self, available: available, limit: limit)
    }

    /// Nothing more is passed on.
    mutating func discard() { isDiscarding = true }
}

/// Where one direction of an exchange is passed on to: a stream at the client for a response. A
/// request has as many sinks as it has attempts.
struct MessageSink: BitwiseCopyable {
    private enum State { case unopened, flowing, waiting, finished }
    private var state: State = .unopened

    var hasStarted: Bool { state != .unopened }
    /// All of it was handed over.
    var isFinished: Bool { state == .finished }

    @inline(always)
    mutating func advance(_ flow: MessageFlow, available: Int) -> MessageFlow.Action {
        switch state {
        case .unopened:
            guard flow.hasHeaders else { return .none }
            let bodiless = flow.endsWithoutTrailers && available == 0
            state = bodiless ? .finished : .flowing
            return bodiless ? .submitHeadersOnly : .submitHeaders
        case .waiting:
            guard available > 0 || flow.isEnded else { return .none }
            state = .flowing
            return .resume
        case .flowing, .finished: return .none
        }
    }

    @inline(always)
    mutating func portion(
        _ flow: MessageFlow, available: Int, limit: Int
    ) -> MessageFlow.Portion {
        if available > limit { return .more(limit) }
        guard flow.isEnded else {
            if available > 0 { return .more(available) }
            state = .waiting
            return .wait
        }
        state = .finished
        return flow.endsWithoutTrailers ? .last(available) : .lastBeforeTrailers(available)
    }
}
