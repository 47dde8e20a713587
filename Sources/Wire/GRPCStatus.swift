/// The canonical status codes of gRPC ("Status codes and their use in gRPC").
public enum GRPCStatus: UInt8, Sendable, CaseIterable {
    case ok = 0
    case cancelled
    case unknown
    case invalidArgument
    case deadlineExceeded
    case notFound
    case alreadyExists
    case permissionDenied
    case resourceExhausted
    case failedPrecondition
    case aborted
    case outOfRange
    case unimplemented
    case internalError
    case unavailable
    case dataLoss
    case unauthenticated

    /// The status of a response that carries no grpc-status ("HTTP to gRPC Status Code Mapping").
    /// Not to be used in reverse, nor for 1xx, after which another header block comes.
    public init(httpStatus: UInt16) {
        switch httpStatus {
        case 400, 431: self = .internalError
        case 401: self = .unauthenticated
        case 403: self = .permissionDenied
        case 404: self = .unimplemented
        case 429, 502, 503, 504: self = .unavailable
        default: self = .unknown
        }
    }

    /// The status of a stream that the server reset ("gRPC over HTTP2", Errors). REFUSED_STREAM was
    /// never processed and is safe to retry. Codes that no table names count as INTERNAL_ERROR
    /// (RFC 9113, 7), STREAM_CLOSED among them.
    public init(http2ErrorCode: UInt32) {
        switch http2ErrorCode {
        case 0x7: self = .unavailable
        case 0x8: self = .cancelled
        case 0xb: self = .resourceExhausted
        case 0xc: self = .permissionDenied
        default: self = .internalError
        }
    }

    /// The HTTP status that stands for this code in metrics and in answers to plain HTTP.
    public var httpStatus: UInt16 {
        switch self {
        case .ok: 200
        case .cancelled: 499
        case .unknown, .internalError, .dataLoss: 500
        case .invalidArgument, .failedPrecondition, .outOfRange: 400
        case .deadlineExceeded: 504
        case .notFound: 404
        case .alreadyExists, .aborted: 409
        case .permissionDenied: 403
        case .resourceExhausted: 429
        case .unimplemented: 501
        case .unavailable: 503
        case .unauthenticated: 401
        }
    }

    /// The code's name in specifications and service configurations.
    public var name: StaticString {
        switch self {
        case .ok: "OK"
        case .cancelled: "CANCELLED"
        case .unknown: "UNKNOWN"
        case .invalidArgument: "INVALID_ARGUMENT"
        case .deadlineExceeded: "DEADLINE_EXCEEDED"
        case .notFound: "NOT_FOUND"
        case .alreadyExists: "ALREADY_EXISTS"
        case .permissionDenied: "PERMISSION_DENIED"
        case .resourceExhausted: "RESOURCE_EXHAUSTED"
        case .failedPrecondition: "FAILED_PRECONDITION"
        case .aborted: "ABORTED"
        case .outOfRange: "OUT_OF_RANGE"
        case .unimplemented: "UNIMPLEMENTED"
        case .internalError: "INTERNAL"
        case .unavailable: "UNAVAILABLE"
        case .dataLoss: "DATA_LOSS"
        case .unauthenticated: "UNAUTHENTICATED"
        }
    }

    /// The number in a grpc-status value: digits without leading zeros, at most 2^32 - 1; nil for
    /// anything else. Codes beyond those named here are kept as numbers.
    public static func parse(_ value: Span<UInt8>) -> UInt32? {
        guard value.count >= 1, value.count <= 10 else { return nil }
        if value[0] == UInt8(ascii: "0"), value.count > 1 { return nil }
        guard let number = Decimal.parse(value) else { return nil }
        return UInt32(exactly: number)
    }
}
