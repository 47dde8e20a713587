internal import Proxy
internal import Rules

/// Looks at the memory in use, and says which stage that calls for. The control thread alone uses
/// it.
struct OverloadWatch {
    struct Figures: Sendable {
        var stage = OverloadStage.none
        var usedBytes: UInt64 = 0
        /// 0 is none.
        var budgetBytes: UInt64 = 0
        /// How often the stage has changed.
        var changes: UInt64 = 0
    }

    /// How often workers are told of a stage that holds, and what is free is given back meanwhile.
    private static let againNanoseconds: Int64 = 1_000_000_000
    private static let sharePercent: UInt64 = 80

    private(set) var figures = Figures()
    private var pressure = MemoryPressure()
    private var nextAt: Int64 = 0
    private var toldAt: Int64 = .min

    mutating func install(_ terms: OverloadTerms) {
        switch terms.memory {
        case .off: figures.budgetBytes = 0
        case .share: figures.budgetBytes = MemoryLimit.available / 100 * Self.sharePercent
        case .bytes(let bytes): figures.budgetBytes = UInt64(clamping: bytes)
        }
        nextAt = 0
    }

    /// Nanoseconds until `turn` has something to do; nil is never.
    func left(at now: Int64) -> Int64? { nextAt == .max ? nil : max(0, nextAt - now) }

    /// Gives the stage, where workers are to be told, and a line for the log, where it has changed.
    mutating func turn(at now: Int64) -> (stage: OverloadStage?, words: String?) {
        guard now >= nextAt else { return (nil, nil) }
        // What is free within the process would keep it where it is for ever.
        let isAgain = pressure.stage != .none && now >= toldAt + Self.againNanoseconds
        if isAgain { ProcessFigures.giveFreeMemoryBack() }
        figures.usedBytes = ProcessFigures.anonymousBytes
        let hasChanged = pressure.look(
            used: figures.usedBytes, budget: figures.budgetBytes, at: now)
        figures.stage = pressure.stage
        nextAt = pressure.nextAt
        guard hasChanged || isAgain else { return (nil, nil) }
        toldAt = now
        guard hasChanged else { return (pressure.stage, nil) }
        figures.changes += 1
        let words =
            "overload memory stage=\(pressure.stage.name) bytes=\(figures.usedBytes) "
            + "budget=\(figures.budgetBytes)"
        return (pressure.stage, words)
    }
}
