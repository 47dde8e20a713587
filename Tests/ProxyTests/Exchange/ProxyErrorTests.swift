import Testing
import Wire

@testable import Proxy

@Suite struct ProxyErrorTests {
    struct Answer: Equatable {
        var grpc: GRPCStatus
        var http: UInt16
        var reset: HTTP2Code
        var isUnprocessed = false
    }

    /// A kind without a line here does not compile.
    private static func expected(_ kind: ProxyError.Kind) -> Answer {
        switch kind {
        case .malformed, .badTimeout: Answer(grpc: .internalError, http: 400, reset: .internalError)
        case .badPath: Answer(grpc: .unimplemented, http: 400, reset: .internalError)
        case .unsupportedMethod: Answer(grpc: .unimplemented, http: 501, reset: .internalError)
        case .headersTooLarge: Answer(grpc: .resourceExhausted, http: 431, reset: .internalError)
        case .pathTooLong: Answer(grpc: .resourceExhausted, http: 414, reset: .internalError)
        case .denied: Answer(grpc: .permissionDenied, http: 403, reset: .internalError)
        case .identityEnded: Answer(grpc: .unauthenticated, http: 401, reset: .internalError)
        case .unauthenticated:
            Answer(grpc: .unauthenticated, http: 401, reset: .internalError)
        case .accessUnknown, .limitUnknown:
            Answer(grpc: .unavailable, http: 503, reset: .internalError)
        case .noRoute: Answer(grpc: .unimplemented, http: 404, reset: .internalError)
        case .wrongContentType: Answer(grpc: .internalError, http: 415, reset: .internalError)
        case .loop: Answer(grpc: .aborted, http: 508, reset: .internalError)
        case .messageTooLarge: Answer(grpc: .resourceExhausted, http: 413, reset: .internalError)
        case .rateLimited: Answer(grpc: .resourceExhausted, http: 429, reset: .internalError)
        case .fault: Answer(grpc: .unavailable, http: 503, reset: .internalError)
        case .deadlineExceeded, .tryTimedOut, .routeIdle:
            Answer(grpc: .deadlineExceeded, http: 504, reset: .cancel)
        case .bodyIdle: Answer(grpc: .cancelled, http: 408, reset: .cancel)
        case .stalled: Answer(grpc: .cancelled, http: 503, reset: .cancel)
        case .unreachable, .overLimit, .overloaded, .refused:
            Answer(grpc: .unavailable, http: 503, reset: .internalError, isUnprocessed: true)
        case .upstreamReset: Answer(grpc: .internalError, http: 502, reset: .internalError)
        case .upstreamLost: Answer(grpc: .unavailable, http: 502, reset: .internalError)
        case .badResponse: Answer(grpc: .internalError, http: 502, reset: .internalError)
        }
    }

    @Test("every kind has its answers", arguments: ProxyError.Kind.allCases)
    func answers(kind: ProxyError.Kind) {
        let error = ProxyError(kind, .downstream, "words")
        let answer = Answer(
            grpc: error.grpcStatus, http: error.httpStatus, reset: error.resetCode,
            isUnprocessed: error.isUnprocessed)
        #expect(answer == Self.expected(kind))
    }

    @Test("a stream that stalled is UNAVAILABLE where the server is at fault")
    func stalled() {
        #expect(ProxyError(.stalled, .upstream, "").grpcStatus == .unavailable)
        #expect(ProxyError(.stalled, .downstream, "").grpcStatus == .cancelled)
    }

    @Test("REFUSED_STREAM is never passed on", arguments: ProxyError.Kind.allCases)
    func refusedStream(kind: ProxyError.Kind) {
        for fault in [ProxyError.Side.downstream, .upstream, .weir] {
            let error = ProxyError(kind, fault, "", code: .refusedStream)
            #expect(error.resetCode != .refusedStream)
        }
    }

    @Test(
        "a server's reset is passed on as it was, to gRPC callers as a status",
        arguments: [
            (.cancel, .cancel, .cancelled),
            (.enhanceYourCalm, .enhanceYourCalm, .resourceExhausted),
            (.refusedStream, .internalError, .unavailable),
            (.noError, .internalError, .internalError),
            (.protocolError, .protocolError, .internalError),
            (.http11Required, .internalError, .internalError),
        ] as [(HTTP2Code, HTTP2Code, GRPCStatus)])
    func reset(code: HTTP2Code, passedOn: HTTP2Code, status: GRPCStatus) {
        let error = ProxyError(.upstreamReset, .upstream, "", code: code)
        #expect(error.resetCode == passedOn)
        #expect(error.grpcStatus == status)
        #expect(!error.isUnprocessed)
    }

    @Test("a limit is named in the words")
    func limit() {
        let error = ProxyError.overLimit(.upstreamPending)
        #expect(error.detail == "over the limit upstream.pending")
        #expect(error.kind == .overLimit)
    }
}
