internal import Rules

/// The tables of `limits` and `timeouts`: the only place that names their keys, bounds and meaning.
enum OptionTables {
    private static let sizes: ClosedRange<Int64> = 1 << 10...1 << 30
    /// RFC 9113, 6.9.1, would let a window have nearly 2 GiB.
    private static let windows: ClosedRange<Int64> = 1 << 10...1 << 30
    /// A connection's window begins at 65,535 bytes and cannot be made smaller.
    private static let connectionWindows: ClosedRange<Int64> = 1 << 16...1 << 30
    private static let counts: ClosedRange<Int64> = 1...1_000_000_000

    static let downstreamLimits: [Option<DownstreamLimits>] = [
        .count(
            "concurrent_streams", \.concurrentStreams, 1...1_000_000,
            "Streams a client may have open on one connection"),
        .size("stream_window", \.streamWindowBytes, windows, "Receive window of a new stream"),
        .size(
            "stream_window_max", \.streamWindowBytesMax, windows,
            "What the window grows to while the upstream keeps up"),
        .size(
            "connection_window", \.connectionWindowBytes, connectionWindows,
            "Receive window of a connection"),
        .size(
            "header_list", \.headerListBytes, sizes,
            "A request's header list: names, values, and 32 bytes for each field"),
        .count("header_fields", \.headerFields, 1...10_000, "Fields in a request's header list"),
        .size("path", \.pathBytes, 16...1 << 20, "Length of `:path`"),
        .size("trailer", \.trailerBytes, sizes, "A request's trailers, counted like header_list"),
        .count("trailer_fields", \.trailerFields, 1...10_000, "Fields in a request's trailers"),
        .count(
            "continuations", \.continuations, 1...10_000, "CONTINUATION frames of a header block"),
        .count("reset_burst", \.resetBurst, counts, "RST_STREAM frames that may come at once"),
        .count("resets_per_second", \.resetsPerSecond, counts, "RST_STREAM frames in the long run"),
        .count(
            "early_resets", \.earlyResets, counts,
            "Streams within 10 s of which over half were reset early before the connection ends"),
        .count(
            "pings", \.pings, counts, "PING frames beyond one for each DATA or HEADERS frame sent"),
        .count("settings", \.settings, counts, "SETTINGS frames within 10 s"),
        .count("empty_data", \.emptyData, counts, "DATA frames in a row without bytes"),
        .count(
            "control_frames_queued", \.controlFramesQueued, counts,
            "Control frames that wait for a client that does not read"),
        .count(
            "frames_without_request", \.framesWithoutRequest, counts,
            "Frames within 10 s among which no new request came"),
        .size(
            "unread_output", \.unreadOutputBytes, 1 << 14...1 << 30,
            "Bytes that wait for a client's socket"),
        .count(
            "requests_per_turn", \.requestsPerTurn, 1...10_000,
            "Requests taken from one connection before the others have their turn"),
        .count(
            "connections", \.connections, counts,
            "Client connections of this listener, in the whole process"),
        .count(
            "handshakes", \.handshakes, counts, "Those of them whose TLS handshake lasts, at once"),
    ]

    static let downstreamTimeouts: [Option<DownstreamTimeouts>] = [
        .time("handshake", \.handshake, "For a TLS handshake"),
        .duration("preface", \.preface, "For HTTP/2's connection preface"),
        .duration("settings_ack", \.settingsAck, "For the acknowledgement of SETTINGS"),
        .duration("header_block", \.headerBlock, "From a header block's first byte to its last"),
        .duration(
            "body_idle", \.bodyIdle,
            "Between parts of a plain HTTP request's body; gRPC streams may be quiet"),
        .duration(
            "stalled_writer", \.stalledWriter,
            "A stream whose queued bytes the client's window does not let through"),
        .duration(
            "unread_output", \.unreadOutput, "A socket that takes nothing of what waits for it"),
        .duration("idle", \.idle, "A connection without streams; PING does not count"),
        .duration(
            "connection_age", \.connectionAge,
            "A connection is asked to go at this age, give or take a tenth"),
        .duration(
            "connection_age_grace", \.connectionAgeGrace,
            "How long its streams may then go on; `off` is for ever"),
        .duration(
            "identity_grace", \.identityGrace,
            "How long streams go on once the client's certificate has expired or was revoked"),
        .duration("drain", \.drain, "How long a draining connection may take to end its streams"),
    ]

    static let upstreamLimits: [Option<UpstreamLimits>] = [
        .count("connections", \.connections, counts, "Connections, in the whole process"),
        .count("requests", \.requests, counts, "Requests at once, in the whole process"),
        .count(
            "pending", \.pending, 0...1_000_000_000,
            "Requests that wait for a connection or a stream, in the whole process"),
        .count(
            "retries", \.retries, 0...1_000_000_000,
            "Requests that are tried again, by its routes' `retry`, at once in the whole process"),
        .count(
            "mirrored", \.mirrored, 1...1_000_000,
            "Copies of requests that it gets as a `mirror`, at once in the whole process"),
        .size("stream_window", \.streamWindowBytes, windows, "Receive window of a new stream"),
        .size(
            "stream_window_max", \.streamWindowBytesMax, windows,
            "What the window grows to while the client keeps up"),
        .size(
            "connection_window", \.connectionWindowBytes, connectionWindows,
            "Receive window of a connection"),
        .size(
            "header_list", \.headerListBytes, sizes,
            "A response's header list: names, values, and 32 bytes for each field"),
        .count("header_fields", \.headerFields, 1...10_000, "Fields in a response's header list"),
        .size("trailer", \.trailerBytes, sizes, "A response's trailers, counted like header_list"),
        .count("trailer_fields", \.trailerFields, 1...10_000, "Fields in a response's trailers"),
        .count(
            "interim_responses", \.interimResponses, 0...1_000, "1xx responses before the final one"
        ),
        .count(
            "resets", \.resets, counts,
            "RST_STREAM frames within 10 s before the connection is given up"),
        .count(
            "pings", \.pings, counts, "PING frames beyond one for each DATA or HEADERS frame sent"),
        .count("settings", \.settings, counts, "SETTINGS frames within 10 s"),
        .count("empty_data", \.emptyData, counts, "DATA frames in a row without bytes"),
        .count(
            "frames_without_response", \.framesWithoutResponse, counts,
            "Frames within 10 s among which no response came"),
    ]

    static let upstreamTimeouts: [Option<UpstreamTimeouts>] = [
        .time("connect", \.connect, "For a connection to be made"),
        .time("handshake", \.handshake, "For a TLS handshake"),
        .duration(
            "settings", \.settings, "For the server's SETTINGS and its acknowledgement of ours"),
        .duration("header_block", \.headerBlock, "From a header block's first frame to its last"),
        .duration("idle", \.idle, "A connection without streams"),
        .duration(
            "unread_output", \.unreadOutput, "A socket that takes nothing of what waits for it"),
        .duration(
            "stalled_writer", \.stalledWriter,
            "A stream whose queued bytes the server's window does not let through"),
        .time("backoff_base", \.backoffBase, "First delay before connecting again after a failure"),
        .time("backoff_max", \.backoffMax, "What doubling the delay ends at"),
        .duration(
            "keepalive", \.keepalive,
            "PING when nothing was read for so long; many servers strike below 5m"),
        .time("keepalive_ack", \.keepaliveAck, "How long a PING's acknowledgement may take"),
        .duration(
            "tcp_user", \.tcpUser, "How long bytes may stay unacknowledged (TCP_USER_TIMEOUT)"),
    ]
}

extension Option {
    /// As a key among others.
    var term: Term {
        let value = read(Root())
        switch unit {
        case .count:
            let range = Int(range.lowerBound)...Int(range.upperBound)
            return Term(key, .count(range), doc, byDefault: "\(value)")
        case .size:
            return Term(key, .size(range), doc, byDefault: Size.describe(value))
        case .duration(let offAllowed):
            return Term(
                key, .duration(offAllowed: offAllowed), doc, byDefault: Duration.describe(value))
        }
    }
}
