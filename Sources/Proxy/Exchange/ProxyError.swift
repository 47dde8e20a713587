internal import Rules
internal import Wire

/// Why an exchange did not end as the server wanted it to: what, whose fault, in words.
struct ProxyError {
    enum Kind: CaseIterable {
        case malformed, unsupportedMethod, badPath, badTimeout
        case headersTooLarge, pathTooLong
        case denied, unauthenticated, accessUnknown, identityEnded, noRoute, wrongContentType
        case loop, messageTooLarge, rateLimited, limitUnknown, fault
        case deadlineExceeded, tryTimedOut, routeIdle, bodyIdle, stalled
        case unreachable, overLimit, overloaded, refused, upstreamReset, upstreamLost, badResponse
    }

    enum Side { case downstream, upstream, weir }

    let kind: Kind
    let fault: Side
    let detail: String
    /// The server's reset code, where there is one.
    var code: HTTP2Code?
    /// The limit or timer that tripped, where one did.
    var limit: Limit?
    /// What a route's own fault is answered with.
    var injected: FaultTerms.Abort?
    /// The server's frame that ended the attempt, where one did.
    var reset = ExchangeEnd.Reset()

    init(
        _ kind: Kind, _ fault: Side, _ detail: String, code: HTTP2Code? = nil, limit: Limit? = nil
    ) {
        self.kind = kind
        self.fault = fault
        self.detail = detail
        self.code = code
        self.limit = limit
    }

    static func overLimit(_ limit: Limit) -> ProxyError {
        ProxyError(.overLimit, .weir, "over the limit \(limit.name)", limit: limit)
    }

    /// True where the server is known not to have seen the request: any other may be asked.
    var isUnprocessed: Bool {
        switch kind {
        case .unreachable, .overLimit, .overloaded, .refused: true
        default: false
        }
    }

    /// What gRPC callers are told; chosen directly, never by way of an HTTP status.
    var grpcStatus: GRPCStatus {
        switch kind {
        case .malformed, .badTimeout, .badResponse: .internalError
        case .unsupportedMethod, .badPath, .noRoute: .unimplemented
        case .headersTooLarge, .pathTooLong, .messageTooLarge, .rateLimited: .resourceExhausted
        case .loop: .aborted
        case .denied: .permissionDenied
        case .identityEnded, .unauthenticated: .unauthenticated
        case .wrongContentType: .internalError
        case .deadlineExceeded, .tryTimedOut, .routeIdle: .deadlineExceeded
        case .stalled: fault == .upstream ? .unavailable : .cancelled
        case .bodyIdle: .cancelled
        case .unreachable, .overLimit, .overloaded, .refused, .upstreamLost, .accessUnknown,
            .limitUnknown:
            .unavailable
        case .fault: injected.flatMap { GRPCStatus(rawValue: $0.grpcStatus) } ?? .unavailable
        case .upstreamReset: GRPCStatus(http2ErrorCode: (code ?? .internalError).rawValue)
        }
    }

    /// What plain HTTP callers are told.
    var httpStatus: UInt16 {
        switch kind {
        case .malformed, .badPath, .badTimeout: 400
        case .unsupportedMethod: 501
        case .headersTooLarge: 431
        case .pathTooLong: 414
        case .denied: 403
        case .identityEnded, .unauthenticated: 401
        case .noRoute: 404
        case .wrongContentType: 415
        case .loop: 508
        case .rateLimited: 429
        case .fault: injected?.httpStatus ?? 503
        case .messageTooLarge: fault == .upstream ? 502 : 413
        case .bodyIdle: 408
        case .deadlineExceeded, .tryTimedOut, .routeIdle: 504
        case .unreachable, .overLimit, .overloaded, .refused, .stalled, .accessUnknown,
            .limitUnknown:
            503
        case .upstreamReset, .upstreamLost, .badResponse: 502
        }
    }

    /// What resets the stream of a plain HTTP caller whose response has begun. REFUSED_STREAM is
    /// never passed on: it would promise that nothing was processed; nor is HTTP_1_1_REQUIRED, as
    /// Weir does not speak that.
    var resetCode: HTTP2Code {
        switch kind {
        case .upstreamReset:
            switch code {
            case nil, .refusedStream, .noError, .http11Required: .internalError
            case .some(let code): code
            }
        case .stalled, .bodyIdle, .deadlineExceeded, .tryTimedOut, .routeIdle: .cancel
        default: .internalError
        }
    }
}
