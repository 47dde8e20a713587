internal import Rules
internal import Wire

/// What an exchange has to tell of itself, gathered while it runs, for the access log and the
/// metrics. Whole when `Worker.accountClosed` is called, once for each exchange; what the exchange
/// knows anyway (times, route, bytes that came) stays where it is.
struct ExchangeAccount: BitwiseCopyable {
    /// No gRPC status is known.
    static var noStatus: UInt32 { .max }

    /// When the response's HEADERS were handed to the client's session; 0 is never.
    var answeredAt: Int64 = 0
    /// Bytes of body handed to the server's connection.
    var requestBytes: Int64 = 0
    /// Bytes of body handed to the client's connection.
    var responseBytes: Int64 = 0
    /// Only counted for gRPC: messages from the client, and messages handed to its connection.
    var requestMessages = GRPCMessageCounter()
    var responseMessages = GRPCMessageCounter()
    /// The HTTP status that the client was sent; 0 is none.
    var status: UInt16 = 0
    /// How many servers' streams the request was sent on.
    var attempts: UInt16 = 0
    /// The gRPC status that the client was sent: any number, or `noStatus`.
    var grpcStatus = noStatus
    /// Of the last attempt.
    var server = ServerPlace()
    /// Why the attempt that failed last was the last.
    var notRetried = NotRetried.none
    var end = ExchangeEnd()
    /// What the access rules said; nil where they were not asked.
    var access: AccessOutcome?

    /// Which server's stream an attempt was sent on.
    struct ServerPlace: BitwiseCopyable {
        var endpoint = PackedAddress()
        /// Of a unix socket; in the exchange's arena.
        var path = ByteView.empty
        var connection: UInt32 = 0
        var stream: Int32 = 0
    }
}

/// How an exchange ended: who did it, why, and by which frame.
struct ExchangeEnd: BitwiseCopyable {
    enum Reason: UInt8, CaseIterable {
        /// Not over yet.
        case open
        case complete, respond, redirect
        // Those of `ProxyError.Kind`.
        case malformed, unsupportedMethod, badPath, badTimeout, headersTooLarge, pathTooLong
        case denied, unauthenticated, accessUnknown, identityEnded, noRoute, wrongContentType
        case loop, messageTooLarge, rateLimited, limitUnknown, fault
        case deadlineExceeded, tryTimedOut, routeIdle, bodyIdle, stalled
        case unreachable, overLimit, overloaded, refused, upstreamReset, upstreamLost, badResponse
        // What happened to the client's stream.
        case clientReset, clientLost, protocolError, streamRefused, connectionEnded
    }

    enum Side: UInt8 { case none, client, upstream, weir }
    enum Frame: UInt8 { case none, resetStream, goAway }

    /// The frame that ended it, and who sent it.
    struct Reset: BitwiseCopyable {
        var frame = Frame.none
        var by = Side.none
        var code: UInt32 = 0
    }

    var reason = Reason.open
    /// What the reason is if the response is passed on to its end.
    var success = Reason.complete
    /// Whose fault it was.
    var fault = Side.none
    var limit: Limit?
    var reset = Reset()
    /// In words, in the exchange's arena.
    var detail = ByteView.empty

    var isSuccess: Bool { reason == success }

    /// The first RST_STREAM on the client's stream counts, if nothing else has ended it.
    mutating func sawReset(by side: Side, code: UInt32) {
        guard reason == .open, reset.frame == .none else { return }
        reset = Reset(frame: .resetStream, by: side, code: code)
    }

    /// nghttp2 has refused a stream that had not begun.
    mutating func refused(isOverLimit: Bool) {
        reason = isOverLimit ? .streamRefused : .protocolError
        fault = .client
    }

    var endedBy: Side {
        switch reason {
        case .open: .none
        case .complete, .refused, .upstreamReset, .upstreamLost: .upstream
        case .clientReset, .clientLost: .client
        default: .weir
        }
    }
}

extension ExchangeEnd.Reason {
    init(_ kind: ProxyError.Kind) {
        self =
            switch kind {
            case .malformed: .malformed
            case .unsupportedMethod: .unsupportedMethod
            case .badPath: .badPath
            case .badTimeout: .badTimeout
            case .headersTooLarge: .headersTooLarge
            case .pathTooLong: .pathTooLong
            case .denied: .denied
            case .identityEnded: .identityEnded
            case .unauthenticated: .unauthenticated
            case .accessUnknown: .accessUnknown
            case .noRoute: .noRoute
            case .wrongContentType: .wrongContentType
            case .loop: .loop
            case .messageTooLarge: .messageTooLarge
            case .rateLimited: .rateLimited
            case .limitUnknown: .limitUnknown
            case .fault: .fault
            case .deadlineExceeded: .deadlineExceeded
            case .tryTimedOut: .tryTimedOut
            case .routeIdle: .routeIdle
            case .bodyIdle: .bodyIdle
            case .stalled: .stalled
            case .unreachable: .unreachable
            case .overLimit: .overLimit
            case .overloaded: .overloaded
            case .refused: .refused
            case .upstreamReset: .upstreamReset
            case .upstreamLost: .upstreamLost
            case .badResponse: .badResponse
            }
    }

    /// Its word in the log and in metrics.
    var name: StaticString {
        switch self {
        case .open: "open"
        case .complete: "complete"
        case .respond: "respond"
        case .redirect: "redirect"
        case .malformed: "malformed"
        case .unsupportedMethod: "unsupported_method"
        case .badPath: "bad_path"
        case .badTimeout: "bad_timeout"
        case .headersTooLarge: "headers_too_large"
        case .pathTooLong: "path_too_long"
        case .denied: "denied"
        case .identityEnded: "identity_ended"
        case .unauthenticated: "unauthenticated"
        case .accessUnknown: "access_unknown"
        case .noRoute: "no_route"
        case .wrongContentType: "wrong_content_type"
        case .loop: "loop"
        case .messageTooLarge: "message_too_large"
        case .rateLimited: "rate_limited"
        case .limitUnknown: "limit_unknown"
        case .fault: "fault"
        case .deadlineExceeded: "deadline_exceeded"
        case .tryTimedOut: "per_try_timeout"
        case .routeIdle: "route_idle"
        case .bodyIdle: "body_idle"
        case .stalled: "stalled"
        case .unreachable: "unreachable"
        case .overLimit: "over_limit"
        case .overloaded: "overloaded"
        case .refused: "refused"
        case .upstreamReset: "upstream_reset"
        case .upstreamLost: "upstream_lost"
        case .badResponse: "bad_response"
        case .clientReset: "client_reset"
        case .clientLost: "client_lost"
        case .protocolError: "protocol_error"
        case .streamRefused: "stream_refused"
        case .connectionEnded: "connection_ended"
        }
    }
}

extension ExchangeEnd.Side {
    init(_ side: ProxyError.Side) {
        self =
            switch side {
            case .downstream: .client
            case .upstream: .upstream
            case .weir: .weir
            }
    }

    var name: StaticString {
        switch self {
        case .none: ""
        case .client: "client"
        case .upstream: "upstream"
        case .weir: "weir"
        }
    }
}

/// A socket's address in a fixed number of bytes; of a unix socket only that it is one.
struct PackedAddress: BitwiseCopyable, Equatable {
    enum Kind: UInt8 { case none, ipv4, ipv6, unix }
    var high: UInt64 = 0
    var low: UInt64 = 0
    var port: UInt16 = 0
    var kind = Kind.none

    init() {}

    init(_ address: SocketAddress) {
        switch address {
        case .ipv4(let address, let port):
            low = UInt64(address)
            self.port = port
            kind = .ipv4
        case .ipv6(let high, let low, let port):
            self.high = high
            self.low = low
            self.port = port
            kind = .ipv6
        case .unix: kind = .unix
        }
    }

    /// Nil where there is none. `path` is a unix socket's.
    func address(path: @autoclosure () -> String) -> SocketAddress? {
        switch kind {
        case .none: nil
        case .ipv4: .ipv4(address: UInt32(truncatingIfNeeded: low), port: port)
        case .ipv6: .ipv6(high: high, low: low, port: port)
        case .unix: .unix(path: path())
        }
    }
}
