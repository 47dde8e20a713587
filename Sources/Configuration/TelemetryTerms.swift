public import Rules
public import Wire

/// What is told of the process and its exchanges, and where.
public struct TelemetryTerms: Sendable {
    /// Nil where no line is written for exchanges.
    public var accessLog: AccessLogTerms?
    /// Where metrics are served; nil is nowhere.
    public var metrics: SocketAddress?
    /// Those that descriptors declare; nil where none are named.
    public var methods: DeclaredMethods?
    /// Where the administration interface listens, a unix socket; nil is nowhere.
    public var admin: SocketAddress?

    public init(accessLog: AccessLogTerms? = nil) { self.accessLog = accessLog }
}

/// Where a line for each exchange goes, how it looks, and which exchanges have one.
public struct AccessLogTerms: Sendable, Equatable {
    public enum Target: Sendable, Equatable, CustomStringConvertible {
        case file(path: String)
        case standardOutput, standardError

        /// As it is written.
        public var description: String {
            switch self {
            case .file(let path): path
            case .standardOutput: "stdout"
            case .standardError: "stderr"
            }
        }
    }

    public enum Format: Sendable { case json, text }

    public var target: Target
    public var format: Format
    /// How many of 2^32 exchanges that went well have a line; those that did not always have one.
    public var share: UInt64

    public static let everything: UInt64 = 1 << 32

    public init(target: Target, format: Format = .json, share: UInt64 = everything) {
        self.target = target
        self.format = format
        self.share = share
    }
}
