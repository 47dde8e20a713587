/// Header fields that Weir treats in a way of their own.
public enum HeaderToken: UInt8, Sendable, CaseIterable {
    case other = 0
    // Pseudo-headers (RFC 9113, 8.3; RFC 8441).
    case authority, method, path, scheme, status, protocolName
    // About the message.
    case host, contentType, contentLength, contentEncoding, acceptEncoding
    case expect, cookie, authorization, userAgent, server, date, via, retryAfter
    case requestID, traceparent, tracestate
    // About the connection. `proxyOther` is any other name that begins with `proxy-`.
    case te, connection, keepAlive, proxyConnection, transferEncoding, upgrade, http2Settings
    case proxyAuthorization, proxyOther
    // gRPC's own.
    case grpcTimeout, grpcStatus, grpcMessage, grpcEncoding, grpcStatusDetails
    case grpcRetryPushback, grpcPreviousAttempts
    // Assertions about who sent the request and what it was. `weirAssertion` is any name that
    // begins with `x-weir-`, `tokenAssertion` any that begins with `x-jwt-`.
    case forwarded, xForwardedFor, xForwardedProto, xForwardedHost, xForwardedPort
    case xForwardedClientCert, xRealIP, xOriginalURL, xRewriteURL, xHTTPMethodOverride
    case weirAssertion, tokenAssertion

    /// The token of `name`, which is lower case. `_` stands for `-` in the names that
    /// `isStrippedFromClients`, and only there: many servers read both as one name, so that a
    /// spelling with `_` would carry a forged identity past a proxy that only knows the other.
    public static func of(_ name: Span<UInt8>) -> HeaderToken {
        let token = exactly(name)
        return token == .other && hasUnderscore(name) ? spelledWithUnderscores(name) : token
    }

    /// True for pseudo-headers.
    public var isPseudo: Bool {
        switch self {
        case .authority, .method, .path, .scheme, .status, .protocolName: true
        default: false
        }
    }

    /// True for fields that end here in either direction (RFC 9110, 7.6.1). `te: trailers` is
    /// written anew for every gRPC request.
    public var isHopByHop: Bool {
        switch self {
        case .te, .connection, .keepAlive, .proxyConnection, .transferEncoding, .upgrade,
            .http2Settings, .proxyAuthorization, .proxyOther:
            true
        default: false
        }
    }

    /// True for fields whose mere presence makes a message malformed (RFC 9113, 8.2.2); `te` does
    /// so unless its value is `trailers`.
    public var isForbidden: Bool {
        switch self {
        case .connection, .keepAlive, .proxyConnection, .transferEncoding, .upgrade: true
        default: false
        }
    }

    /// True for fields that assert an identity, an origin or another target: whatever a client that
    /// is not a trusted proxy sends under these names is removed before anything reads it.
    public var isStrippedFromClients: Bool {
        switch self {
        case .forwarded, .xForwardedFor, .xForwardedProto, .xForwardedHost, .xForwardedPort,
            .xForwardedClientCert, .xRealIP, .xOriginalURL, .xRewriteURL, .xHTTPMethodOverride,
            .weirAssertion, .tokenAssertion, .proxyAuthorization:
            true
        default: false
        }
    }
}

extension HeaderToken {
    /// True for what a trusted proxy in front says of the client; in no other spelling.
    public static func isForwarding(_ name: Span<UInt8>) -> Bool {
        switch exactly(name) {
        case .xForwardedFor, .xForwardedProto, .xForwardedHost: true
        default: false
        }
    }
}

extension HeaderToken {
    @inline(__always)
    private static func exactly(_ name: Span<UInt8>) -> HeaderToken {
        let count = name.count
        let token: HeaderToken =
            switch count {
            case ..<1: .other
            // A leading NUL, which no valid name has, would vanish in the number.
            case ..<9: name[0] == 0 ? .other : short(name)
            case ..<14: middle(name)
            case ..<17: long(name)
            case ..<27: longest(name)
            default: .other
            }
        return token == .other && count > 6 ? prefixed(name) : token
    }

    /// The families of names that are known by their beginning.
    private static func prefixed(_ name: Span<UInt8>) -> HeaderToken {
        let head = name.count > 7 ? name.word(at: 0) : name.shortWord() << 8
        if head >> 8 == 0x78_2d77_6569_722d, name.count > 7 { return .weirAssertion }
        if head >> 16 == 0x782d_6a77_742d { return .tokenAssertion }
        if head >> 16 == 0x7072_6f78_792d { return .proxyOther }
        return .other
    }

    private static func hasUnderscore(_ name: Span<UInt8>) -> Bool {
        // Eight bytes at a time, and the last eight.
        let count = name.count
        if count < 8 { return hasUnderscore(name.shortWord()) }
        var start = 0
        while start &+ 8 <= count {
            if hasUnderscore(name.word(at: start)) { return true }
            start &+= 8
        }
        return hasUnderscore(name.word(at: count &- 8))
    }

    /// Whether one of the eight bytes is `_`: the one that differs by nothing borrows.
    @inline(__always)
    private static func hasUnderscore(_ word: UInt64) -> Bool {
        let other = word ^ 0x5f5f_5f5f_5f5f_5f5f
        return (other &- 0x0101_0101_0101_0101) & ~other & 0x8080_8080_8080_8080 != 0
    }

    private static func spelledWithUnderscores(_ name: Span<UInt8>) -> HeaderToken {
        // The longest names that are stripped have 23 bytes; of longer ones the prefix counts.
        var hyphenated: [32 of UInt8] = .init(repeating: 0)
        let count = min(name.count, 32)
        for index in 0..<count {
            let byte = name[index]
            hyphenated[index] = byte == UInt8(ascii: "_") ? UInt8(ascii: "-") : byte
        }
        let token = exactly(hyphenated.span.extracting(0..<count))
        return token.isStrippedFromClients ? token : .other
    }
}

/// Names by length, as numbers that read as their ASCII: up to eight bytes whole; longer ones as
/// their first eight bytes, those that follow, and their last eight, which may overlap. A switch
/// over constants compiles to a few compares without memory or a table to set up.
extension HeaderToken {
    private static func short(_ name: Span<UInt8>) -> HeaderToken {
        switch name.shortWord() {
        case 0x7465: .te
        case 0x0076_6961: .via
        case 0x686f_7374: .host
        case 0x6461_7465: .date
        case 0x003a_7061_7468: .path
        case 0x6578_7065_6374: .expect
        case 0x636f_6f6b_6965: .cookie
        case 0x7365_7276_6572: .server
        case 0x003a_6d65_7468_6f64: .method
        case 0x003a_7363_6865_6d65: .scheme
        case 0x003a_7374_6174_7573: .status
        case 0x0075_7067_7261_6465: .upgrade
        default: .other
        }
    }

    private static func middle(_ name: Span<UInt8>) -> HeaderToken {
        switch name.count {
        case 9:
            switch (name.word(at: 0), name.word(at: 1)) {
            case (0x3a70_726f_746f_636f, 0x7072_6f74_6f63_6f6c): .protocolName
            case (0x666f_7277_6172_6465, 0x6f72_7761_7264_6564): .forwarded
            case (0x782d_7265_616c_2d69, 0x2d72_6561_6c2d_6970): .xRealIP
            default: .other
            }
        case 10:
            switch (name.word(at: 0), name.word(at: 2)) {
            case (0x3a61_7574_686f_7269, 0x7574_686f_7269_7479): .authority
            case (0x636f_6e6e_6563_7469, 0x6e6e_6563_7469_6f6e): .connection
            case (0x6b65_6570_2d61_6c69, 0x6570_2d61_6c69_7665): .keepAlive
            case (0x7573_6572_2d61_6765, 0x6572_2d61_6765_6e74): .userAgent
            case (0x7472_6163_6573_7461, 0x6163_6573_7461_7465): .tracestate
            default: .other
            }
        case 11:
            switch (name.word(at: 0), name.word(at: 3)) {
            case (0x6772_7063_2d73_7461, 0x632d_7374_6174_7573): .grpcStatus
            case (0x7265_7472_792d_6166, 0x7279_2d61_6674_6572): .retryAfter
            case (0x7472_6163_6570_6172, 0x6365_7061_7265_6e74): .traceparent
            default: .other
            }
        case 12:
            switch (name.word(at: 0), name.word(at: 4)) {
            case (0x636f_6e74_656e_742d, 0x656e_742d_7479_7065): .contentType
            case (0x6772_7063_2d74_696d, 0x2d74_696d_656f_7574): .grpcTimeout
            case (0x6772_7063_2d6d_6573, 0x2d6d_6573_7361_6765): .grpcMessage
            case (0x782d_7265_7175_6573, 0x7175_6573_742d_6964): .requestID
            default: .other
            }
        case 13:
            switch (name.word(at: 0), name.word(at: 5)) {
            case (0x6772_7063_2d65_6e63, 0x656e_636f_6469_6e67): .grpcEncoding
            case (0x6175_7468_6f72_697a, 0x7269_7a61_7469_6f6e): .authorization
            case (0x782d_7265_7772_6974, 0x7269_7465_2d75_726c): .xRewriteURL
            default: .other
            }
        default: .other
        }
    }

    private static func long(_ name: Span<UInt8>) -> HeaderToken {
        switch name.count {
        case 14:
            switch (name.word(at: 0), name.word(at: 6)) {
            case (0x636f_6e74_656e_742d, 0x742d_6c65_6e67_7468): .contentLength
            case (0x6874_7470_322d_7365, 0x7365_7474_696e_6773): .http2Settings
            case (0x782d_6f72_6967_696e, 0x696e_616c_2d75_726c): .xOriginalURL
            default: .other
            }
        case 15:
            switch (name.word(at: 0), name.word(at: 7)) {
            case (0x6163_6365_7074_2d65, 0x656e_636f_6469_6e67): .acceptEncoding
            case (0x782d_666f_7277_6172, 0x7264_6564_2d66_6f72): .xForwardedFor
            default: .other
            }
        case 16:
            switch (name.word(at: 0), name.word(at: 8)) {
            case (0x636f_6e74_656e_742d, 0x656e_636f_6469_6e67): .contentEncoding
            case (0x7072_6f78_792d_636f, 0x6e6e_6563_7469_6f6e): .proxyConnection
            case (0x782d_666f_7277_6172, 0x6465_642d_686f_7374): .xForwardedHost
            case (0x782d_666f_7277_6172, 0x6465_642d_706f_7274): .xForwardedPort
            default: .other
            }
        default: .other
        }
    }

    private static func longest(_ name: Span<UInt8>) -> HeaderToken {
        switch name.count {
        case 17:
            switch (name.word(at: 0), name.word(at: 8), name.word(at: 9)) {
            case (
                0x7472_616e_7366_6572, 0x2d65_6e63_6f64_696e,
                0x656e_636f_6469_6e67
            ): .transferEncoding
            case (
                0x782d_666f_7277_6172, 0x6465_642d_7072_6f74,
                0x6564_2d70_726f_746f
            ): .xForwardedProto
            default: .other
            }
        case 19:
            switch (name.word(at: 0), name.word(at: 8), name.word(at: 11)) {
            case (
                0x7072_6f78_792d_6175, 0x7468_6f72_697a_6174,
                0x7269_7a61_7469_6f6e
            ): .proxyAuthorization
            default: .other
            }
        case 22:
            switch (name.word(at: 0), name.word(at: 8), name.word(at: 14)) {
            case (
                0x6772_7063_2d72_6574, 0x7279_2d70_7573_6862,
                0x6862_6163_6b2d_6d73
            ): .grpcRetryPushback
            case (
                0x782d_6874_7470_2d6d, 0x6574_686f_642d_6f76,
                0x6f76_6572_7269_6465
            ): .xHTTPMethodOverride
            default: .other
            }
        case 23:
            switch (name.word(at: 0), name.word(at: 8), name.word(at: 15)) {
            case (
                0x6772_7063_2d73_7461, 0x7475_732d_6465_7461,
                0x6169_6c73_2d62_696e
            ): .grpcStatusDetails
            case (
                0x782d_666f_7277_6172, 0x6465_642d_636c_6965,
                0x656e_742d_6365_7274
            ): .xForwardedClientCert
            default: .other
            }
        case 26:
            switch (name.word(at: 0), name.word(at: 8), name.word(at: 16), name.word(at: 18)) {
            case (
                0x6772_7063_2d70_7265, 0x7669_6f75_732d_7270,
                0x632d_6174_7465_6d70, 0x6174_7465_6d70_7473
            ): .grpcPreviousAttempts
            default: .other
            }
        default: .other
        }
    }
}
