/// How a client's connection is asked to end without a stream being lost. Performs no I/O.
///
///     serving -> planned -> noticed -> announced -> over
///
/// - planned: it will be asked at a time of its own, so that not all come back at once elsewhere.
/// - noticed: the first GOAWAY (last id 2^31-1) and a PING were sent: no stream is refused yet.
/// - announced: the second GOAWAY named the last stream, once the PING's ACK proved that the client
///   had seen the first (or a second passed). The connection ends with its last stream.
/// - over: the time given has passed; what is left is cut.
struct ConnectionDrain {
    enum Action: Equatable { case none, notice, announce, cut }
    private enum State { case serving, planned, noticed, announced, over }

    /// What a client has to answer the PING in; more than any sane round trip.
    static let noticeNanoseconds: Int64 = 1_000_000_000

    private var state = State.serving
    private var nextAt: Int64 = .max
    private var limitAt: Int64 = .max

    var isDraining: Bool { state != .serving }
    /// When `expired` is to be called; `Int64.max` is never.
    var deadline: Int64 { min(nextAt, limitAt) }

    /// - at: when to ask. - limit: how long streams may go on after that; 0 is for ever.
    mutating func begin(at time: Int64, limit: Int64) {
        guard state != .over else { return }
        let cutAt = limit > 0 ? time + limit : .max
        guard state == .serving else {
            limitAt = min(limitAt, cutAt)
            return
        }
        state = .planned
        nextAt = time
        limitAt = cutAt
    }

    /// For connections without streams: the second GOAWAY alone.
    mutating func beginWithoutNotice() {
        state = .announced
        nextAt = .max
    }

    mutating func pingAcked() -> Action {
        guard state == .noticed else { return .none }
        state = .announced
        nextAt = .max
        return .announce
    }

    mutating func expired(now: Int64) -> Action {
        if now >= limitAt, state != .over {
            state = .over
            nextAt = .max
            limitAt = .max
            return .cut
        }
        guard now >= nextAt else { return .none }
        switch state {
        case .planned:
            state = .noticed
            nextAt = now + Self.noticeNanoseconds
            return .notice
        case .noticed:
            state = .announced
            nextAt = .max
            return .announce
        case .serving, .announced, .over: return .none
        }
    }
}
