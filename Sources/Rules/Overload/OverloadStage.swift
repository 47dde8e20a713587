/// How far Weir goes to have less to do. Each stage does what those before it do as well.
public enum OverloadStage: UInt8, Comparable, CaseIterable, Sendable {
    case none
    /// Clients without streams are told to go.
    case idle
    /// New requests are refused, but for health checks.
    case requests
    /// No connections are accepted.
    case connections

    public var name: String { "\(self)" }

    public static func < (one: OverloadStage, other: OverloadStage) -> Bool {
        one.rawValue < other.rawValue
    }
}

/// What the process may use, and how late its workers may be.
public struct OverloadTerms: Equatable, Sendable {
    public enum Memory: Equatable, Sendable {
        case off
        /// Four fifths of what the process may have.
        case share
        case bytes(Int64)
    }

    public var memory = Memory.share
    /// Nanoseconds; 0 is off.
    public var lag: Int64 = 500_000_000

    public init() {}
}
