/// The stage that a worker's lateness calls for. Performs no I/O; times are nanoseconds on a clock
/// that never steps.
///
/// A turn's lag is how long it took, or how late it began where that is more: whatever became ready
/// meanwhile has waited for so long. One long turn is no overload: a process that was stopped, or a
/// machine that slept, goes on as before. Turns that are all over the limit, for `patience` and at
/// least `turnsMin` of them, are; requests are refused then, and over `connectionsFactor` times the
/// limit no connections are accepted. It is over when no turn had half the limit for `relief`.
public struct LoopLag: Sendable {
    public static let patience: Int64 = 1_000_000_000
    public static let relief: Int64 = 1_000_000_000
    public static let turnsMin = 3
    public static let connectionsFactor: Int64 = 4

    /// 0 is off.
    public private(set) var limit: Int64
    public private(set) var stage = OverloadStage.none
    private var overSince: Int64?
    private var turnsOver = 0
    private var lateAt: Int64 = .min

    public init(limit: Int64) { self.limit = limit }

    /// Another limit; what was seen by the old one is forgotten.
    public mutating func set(limit: Int64) {
        if limit != self.limit { self = LoopLag(limit: limit) }
    }

    /// Turns with less need not be told of while there is no stage.
    public var noteworthy: Int64 {
        limit > 0 && stage == .none && overSince == nil ? limit : limit > 0 ? 0 : .max
    }

    /// A turn has ended. True where the stage has changed.
    public mutating func turned(lag: Int64, at now: Int64) -> Bool {
        guard limit > 0 else { return false }
        if lag >= limit / 2 { lateAt = now }
        guard lag >= limit else {
            overSince = nil
            turnsOver = 0
            return looked(at: now)
        }
        let since = overSince ?? now - lag
        overSince = since
        turnsOver += 1
        guard turnsOver >= Self.turnsMin, now - since >= Self.patience else { return false }
        let next =
            lag / Self.connectionsFactor >= limit ? OverloadStage.connections : .requests
        guard next > stage else { return false }
        stage = next
        return true
    }

    /// Time has passed. True where the stage has changed.
    public mutating func looked(at now: Int64) -> Bool {
        guard stage != .none, now >= lateAt + Self.relief else { return false }
        stage = .none
        overSince = nil
        turnsOver = 0
        return true
    }
}
