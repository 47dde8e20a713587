/// How an upstream's endpoints are asked whether they are well. Nanoseconds.
public struct HealthCheckTerms: Equatable, Sendable {
    public enum Kind: Equatable, Sendable {
        /// grpc.health.v1: what `service` says of itself. With `watches` changes are told by the
        /// server as they happen (Watch), besides being asked for (Check).
        case grpc(service: [UInt8], watches: Bool)
        /// GET; a status within `statuses` is well.
        case http(path: [UInt8], host: [UInt8], statuses: [ClosedRange<UInt16>])
        /// A connection can be made; with TLS, secured.
        case tcp
    }

    public var kind: Kind
    public var intervals = Intervals()
    /// Checks in a row that make an endpoint healthy again, and that make it unhealthy.
    public var healthyThreshold: UInt32 = 2
    public var unhealthyThreshold: UInt32 = 3
    /// Endpoints get calls before their first check has ended.
    public var usesUnchecked = true

    public struct Intervals: Equatable, Sendable {
        /// Between a check's end and the next, where all is well.
        public var steady: Int64 = 5_000_000_000
        /// The same once something is wrong, or nothing is known yet.
        public var troubled: Int64 = 1_000_000_000
        public var timeout: Int64 = 1_000_000_000
        /// So many hundredths of a percent are added or taken away, by chance.
        public var jitter: Int64 = 1_000

        public init() {}
    }

    public init(_ kind: Kind) { self.kind = kind }
}
