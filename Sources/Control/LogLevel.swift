public import Logging
internal import Synchronization

/// How much Weir's own log says; can be changed from any thread while it runs.
public final class LogLevel: Sendable {
    private let position: Atomic<Int>

    public init(_ level: Logger.Level) { position = Atomic(Self.position(level)) }

    public var value: Logger.Level {
        get { Logger.Level.allCases[position.load(ordering: .relaxed)] }
        set { position.store(Self.position(newValue), ordering: .relaxed) }
    }

    private static func position(_ level: Logger.Level) -> Int {
        Logger.Level.allCases.firstIndex(of: level) ?? 0
    }
}
