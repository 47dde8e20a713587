public import Wire

/// Which ends of a call count against the endpoint that served it: gRPC's codes, and statuses of
/// plain HTTP. A route chooses them; what it does not choose never counts.
///
/// An object, as there may be a million routes with one and the same.
public final class FailureSet: Sendable {
    /// What says that a server is in trouble. Never what says that the caller is: PERMISSION_DENIED
    /// and INVALID_ARGUMENT would let one caller eject endpoints for all others.
    public static let standard = FailureSet(
        codes: [.unavailable, .internalError, .dataLoss, .deadlineExceeded], statuses: [500...599])

    private let codes: StatusCodes
    /// A bit for each status below 1,024; HTTP has them up to 599.
    private let statuses: SIMD16<UInt64>

    public init(codes: [GRPCStatus], statuses: [ClosedRange<UInt16>]) {
        self.codes = StatusCodes(codes)
        var bits = SIMD16<UInt64>()
        for status in statuses.joined() where status < Self.statusesMax {
            bits[Int(status) / 64] |= 1 << UInt64(status % 64)
        }
        self.statuses = bits
    }

    private static let statusesMax: UInt16 = 1_024

    /// A code that gRPC does not name is taken for UNKNOWN, as clients take it.
    public func contains(code: UInt32) -> Bool { codes.contains(code) }

    public func contains(_ code: GRPCStatus) -> Bool { codes.contains(code) }

    public func contains(status: UInt16) -> Bool {
        guard status < Self.statusesMax else { return false }
        return statuses[Int(status) / 64] & 1 << UInt64(status % 64) != 0
    }

    /// The codes, by their numbers.
    public var listedCodes: [GRPCStatus] { codes.list }

    /// The statuses, those that follow each other as one range.
    public var listedStatuses: [ClosedRange<UInt16>] {
        var ranges: [ClosedRange<UInt16>] = []
        for status in 0..<Self.statusesMax where contains(status: status) {
            if let last = ranges.last, last.upperBound + 1 == status {
                ranges[ranges.count - 1] = last.lowerBound...status
            } else {
                ranges.append(status...status)
            }
        }
        return ranges
    }
}
