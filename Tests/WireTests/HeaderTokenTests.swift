import Testing
import Wire

@Suite struct HeaderTokenTests {
    static let names: [(String, HeaderToken)] = [
        (":authority", .authority),
        (":method", .method),
        (":path", .path),
        (":scheme", .scheme),
        (":status", .status),
        (":protocol", .protocolName),
        ("host", .host),
        ("content-type", .contentType),
        ("content-length", .contentLength),
        ("content-encoding", .contentEncoding),
        ("te", .te),
        ("connection", .connection),
        ("keep-alive", .keepAlive),
        ("proxy-connection", .proxyConnection),
        ("transfer-encoding", .transferEncoding),
        ("upgrade", .upgrade),
        ("http2-settings", .http2Settings),
        ("proxy-authorization", .proxyAuthorization),
        ("grpc-timeout", .grpcTimeout),
        ("grpc-status", .grpcStatus),
        ("grpc-message", .grpcMessage),
        ("grpc-encoding", .grpcEncoding),
        ("grpc-retry-pushback-ms", .grpcRetryPushback),
        ("grpc-previous-rpc-attempts", .grpcPreviousAttempts),
        ("grpc-status-details-bin", .grpcStatusDetails),
        ("expect", .expect),
        ("cookie", .cookie),
        ("authorization", .authorization),
        ("user-agent", .userAgent),
        ("server", .server),
        ("date", .date),
        ("via", .via),
        ("accept-encoding", .acceptEncoding),
        ("retry-after", .retryAfter),
        ("x-request-id", .requestID),
        ("traceparent", .traceparent),
        ("tracestate", .tracestate),
        ("forwarded", .forwarded),
        ("x-forwarded-for", .xForwardedFor),
        ("x-forwarded-proto", .xForwardedProto),
        ("x-forwarded-host", .xForwardedHost),
        ("x-forwarded-port", .xForwardedPort),
        ("x-forwarded-client-cert", .xForwardedClientCert),
        ("x-real-ip", .xRealIP),
        ("x-original-url", .xOriginalURL),
        ("x-rewrite-url", .xRewriteURL),
        ("x-http-method-override", .xHTTPMethodOverride), ("proxy-authenticate", .proxyOther),
        ("proxy-x", .proxyOther),
        ("x-weir-identity", .weirAssertion), ("x-weir-a", .weirAssertion),
        ("x-jwt-payload", .tokenAssertion), ("x-jwt-a", .tokenAssertion),
    ]

    @Test("a name has its token", arguments: names)
    func known(name: String, token: HeaderToken) {
        #expect(Self.token(Array(name.utf8)) == token)
    }

    @Test("every token has a name in the table")
    func complete() {
        let named = Set(Self.names.map(\.1))
        #expect(HeaderToken.allCases.filter { !named.contains($0) } == [.other])
    }

    @Test("a name with any byte changed, missing or added is another name")
    func neighbours() {
        for (name, token) in Self.names where !Self.families.contains(token) {
            let bytes = Array(name.utf8)
            for index in bytes.indices {
                var changed = bytes
                changed[index] ^= 1
                #expect(Self.token(changed) != token)
                var cut = bytes
                cut.remove(at: index)
                #expect(Self.token(cut) != token)
            }
            #expect(Self.token(bytes + [0x61]) != token)
            #expect(Self.token([0] + bytes) != token)
        }
    }

    @Test("underscores count as hyphens in names that are stripped from clients, and only there")
    func underscores() {
        for (name, token) in Self.names where name.utf8.contains(UInt8(ascii: "-")) {
            let all = name.utf8.map { $0 == UInt8(ascii: "-") ? UInt8(ascii: "_") : $0 }
            var last = Array(name.utf8)
            if let hyphen = last.lastIndex(of: UInt8(ascii: "-")) {
                last[hyphen] = UInt8(ascii: "_")
            }
            let expected: HeaderToken = token.isStrippedFromClients ? token : .other
            #expect(Self.token(all) == expected, "\(name)")
            #expect(
                HeaderToken.of(last.span) == expected || Self.families.contains(token), "\(name)")
        }
    }

    @Test(
        "names that only resemble others have no token",
        arguments: [
            "", "x", "te2", "x-weir-", "x-weir", "x-jwt-", "x-jwt", "proxy-", "proxy", "xx-weir-a",
            "x-forwarded-client-certs", "x-forwarded-client-cer", "content_type", "grpc_timeout",
            "_",
            "x-request_id", String(repeating: "a", count: 100), String(repeating: "_", count: 100),
        ])
    func others(name: String) {
        #expect(Self.token(Array(name.utf8)) == .other)
    }

    @Test("long names of a family are known by their beginning")
    func longNames() {
        let tail = String(repeating: "a_", count: 50)
        #expect(Self.token(Array("x-weir-\(tail)".utf8)) == .weirAssertion)
        #expect(Self.token(Array("x_jwt_\(tail)".utf8)) == .tokenAssertion)
        #expect(Self.token(Array("proxy-\(tail)".utf8)) == .proxyOther)
    }

    @Test("the groups hold what the specifications name")
    func groups() {
        let tokens = HeaderToken.allCases
        #expect(tokens.filter(\.isPseudo).count == 6)
        #expect(
            tokens.filter(\.isForbidden) == [
                .connection, .keepAlive, .proxyConnection, .transferEncoding, .upgrade,
            ])
        #expect(tokens.filter { $0.isForbidden && !$0.isHopByHop }.isEmpty)
        #expect(tokens.filter(\.isHopByHop).count == 9)
        #expect(tokens.filter(\.isStrippedFromClients).count == 13)
        #expect(HeaderToken.other.rawValue == 0)
    }

    private static func token(_ name: [UInt8]) -> HeaderToken { HeaderToken.of(name.span) }

    private static let families: [HeaderToken] = [.weirAssertion, .tokenAssertion, .proxyOther]
}
