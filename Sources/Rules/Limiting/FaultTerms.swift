/// Faults that a route puts into its own traffic, to see what callers make of them (gRFC A33): a
/// delay, an end, or one after the other. Each has a share of the requests and a draw of its own.
public struct FaultTerms: Sendable, Equatable {
    public struct Delay: Sendable, Equatable {
        /// In nanoseconds.
        public let duration: Int64
        /// So many of 2^32 requests.
        public let share: UInt64

        public init(duration: Int64, share: UInt64) {
            self.duration = duration
            self.share = share
        }
    }

    public struct Abort: Sendable, Equatable {
        public let grpcStatus: UInt8
        public let httpStatus: UInt16
        public let share: UInt64

        public init(grpcStatus: UInt8, httpStatus: UInt16, share: UInt64) {
            self.grpcStatus = grpcStatus
            self.httpStatus = httpStatus
            self.share = share
        }
    }

    public static let whole: UInt64 = 1 << 32

    public let delay: Delay?
    public let abort: Abort?
    /// A header by which callers choose a lower share of both, in lower case.
    public let loweredBy: [UInt8]?

    public init(delay: Delay?, abort: Abort?, loweredBy: [UInt8]?) {
        self.delay = delay
        self.abort = abort
        self.loweredBy = loweredBy
    }

    /// The highest share that the request's own header leaves: the lowest of its values. One that
    /// is no share says nothing.
    public func ceiling(_ fields: borrowing some RequestFields) -> UInt64 {
        guard let loweredBy else { return Self.whole }
        var ceiling = Self.whole
        fields.forEachValue(of: loweredBy.span) { value in
            if let share = Self.share(value) { ceiling = min(ceiling, share) }
        }
        return ceiling
    }

    /// Whether a fault of that share happens to the request that `draw`, any random number, is for.
    public static func happens(_ share: UInt64, _ ceiling: UInt64, draw: UInt64) -> Bool {
        draw & (whole - 1) < min(share, ceiling)
    }

    /// `7`, `7%` or `0.25%`: of 100, as so many of 2^32. Nil for anything else, and above 100.
    static func share(_ text: Span<UInt8>) -> UInt64? {
        var end = text.count
        if end > 0, text[end - 1] == UInt8(ascii: "%") { end -= 1 }
        guard end > 0, end <= 6 else { return nil }
        var hundredths: UInt64 = 0
        var point = -1
        for index in 0..<end {
            let byte = text[index]
            if byte == UInt8(ascii: "."), point < 0, index > 0, index + 1 < end {
                point = index
                continue
            }
            guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { return nil }
            hundredths = hundredths * 10 + UInt64(byte - UInt8(ascii: "0"))
        }
        let decimals = point < 0 ? 0 : end - point - 1
        guard decimals <= 2 else { return nil }
        for _ in decimals..<2 { hundredths *= 10 }
        return hundredths <= 10_000 ? (hundredths << 32) / 10_000 : nil
    }
}
