/// Decides what one direction of an exchange does next. Performs no I/O.
///
///     source:  expected -> open -> ended | endedWithTrailers
///     sink:    unopened -> flowing <-> waiting -> finished
///
/// The source is the stream that the message arrives on, the sink the one it is passed on to.
/// Our bug: `portion` before `advance` opened the sink. The peer's errors: none, nghttp2 has
/// refused them. Ignored: whatever arrives after `discard`.
struct MessageFlow {
    enum Action: Equatable { case none, submitHeaders, submitHeadersOnly, resume }
    enum Portion: Equatable { case wait, more(Int), last(Int), lastBeforeTrailers(Int) }
    private enum Source { case expected, open, ended, endedWithTrailers }
    private enum Sink { case unopened, flowing, waiting, finished }
    private var source: Source = .expected
    private var sink: Sink = .unopened
    private var isNoted = false
    private(set) var isDiscarding = false

    var hasHeaders: Bool { source != .expected }
    var hasStarted: Bool { sink != .unopened }
    var isEnded: Bool { source == .ended || source == .endedWithTrailers }
    /// All of it was handed to the sink.
    var isFinished: Bool { sink == .finished }

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
        if isDiscarding { return .none }
        switch sink {
        case .unopened:
            guard source != .expected else { return .none }
            let bodiless = source == .ended && available == 0
            sink = bodiless ? .finished : .flowing
            return bodiless ? .submitHeadersOnly : .submitHeaders
        case .waiting:
            guard available > 0 || isEnded else { return .none }
            sink = .flowing
            return .resume
        case .flowing, .finished: return .none
        }
    }

    /// The sink is another stream now, which has got nothing yet.
    mutating func reopenSink() { sink = .unopened }

    /// How much the sink may take of what is available.
    mutating func portion(available: Int, limit: Int) -> Portion {
        if available > limit { return .more(limit) }
        switch source {
        case .ended:
            sink = .finished
            return .last(available)
        case .endedWithTrailers:
            sink = .finished
            return .lastBeforeTrailers(available)
        case .expected, .open:
            if available > 0 { return .more(available) }
            sink = .waiting
            return .wait
        }
    }

    /// Nothing more is passed on.
    mutating func discard() { isDiscarding = true }
}
