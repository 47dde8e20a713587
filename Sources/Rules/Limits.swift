/// What a listener allows each of its clients. Every limit has a name in the configuration, a
/// default, and a counter of how often it tripped. Sizes in bytes, windows as RFC 9113, 6.9.
public struct DownstreamLimits: Equatable, Sendable {
    /// SETTINGS_MAX_CONCURRENT_STREAMS (RFC 9113, 5.1.2).
    public var concurrentStreams: UInt32 = 100
    /// A stream's receive window at first, and what it grows to while its receiver keeps up.
    public var streamWindowBytes: Int32 = 32 << 10
    public var streamWindowBytesMax: Int32 = 256 << 10
    public var connectionWindowBytes: Int32 = 2 << 20
    /// A header list: names, values and 32 bytes for each field; every cookie crumb is a field.
    public var headerListBytes: Int = 64 << 10
    public var headerFields: Int = 100
    public var pathBytes: Int = 8 << 10
    public var trailerBytes: Int = 64 << 10
    public var trailerFields: Int = 32
    public var continuations: Int = 64
    /// nghttp2's own bucket of RST_STREAM received: burst, and refill per second (CVE-2023-44487).
    public var resetBurst: Int = 10_000
    public var resetsPerSecond: Int = 1_000
    /// Streams within 10 s of which over half were reset early before the connection is closed.
    public var earlyResets: Int = 200
    /// PINGs allowed beyond one for each DATA or HEADERS frame sent.
    public var pings: Int = 100
    /// SETTINGS frames within 10 s.
    public var settings: Int = 10
    /// DATA frames without bytes and without END_STREAM, in a row.
    public var emptyData: Int = 100
    /// Control frames queued for a client that does not read.
    public var controlFramesQueued: Int = 1_000
    /// Frames within 10 s among which no new request came.
    public var framesWithoutRequest: Int = 10_000
    /// Encoded bytes that wait for a client's socket.
    public var unreadOutputBytes: Int = 256 << 10
    /// Requests taken from one connection in one turn of the loop.
    public var requestsPerTurn: Int = 32
    /// Client connections of this listener, in the whole process.
    public var connections: Int = 50_000
    /// Those of them whose TLS handshake may last at once.
    public var handshakes: Int = 1_000

    public init() {}
}

/// How long a listener waits for each thing that a client owes it. Nanoseconds; 0 is never.
public struct DownstreamTimeouts: Equatable, Sendable {
    /// A TLS handshake, from the connection on.
    public var handshake: Int64 = 5_000_000_000
    /// How long streams may go on once the client's certificate has expired or was revoked.
    public var identityGrace: Int64 = 30_000_000_000
    public var preface: Int64 = 5_000_000_000
    public var settingsAck: Int64 = 10_000_000_000
    /// From the first byte of a header block to its last.
    public var headerBlock: Int64 = 10_000_000_000
    /// Plain HTTP request bodies only: gRPC streams may be quiet for ever.
    public var bodyIdle: Int64 = 30_000_000_000
    /// A stream with bytes queued of which none could be passed on.
    public var stalledWriter: Int64 = 300_000_000_000
    /// A socket that takes nothing of what waits for it.
    public var unreadOutput: Int64 = 30_000_000_000
    /// A connection without a stream; PING does not refresh it.
    public var idle: Int64 = 300_000_000_000
    /// GOAWAY after this age, with a tenth of jitter either way; 0 is off.
    public var connectionAge: Int64 = 0
    /// How long streams may go on after `connectionAge`; 0 is for ever.
    public var connectionAgeGrace: Int64 = 0
    /// How long a draining connection may take to end its streams.
    public var drain: Int64 = 30_000_000_000

    public init() {}
}

/// What Weir allows itself and the servers of one upstream.
public struct UpstreamLimits: Equatable, Sendable {
    /// For the whole process, as all four first ones.
    public var connections: Int = 1_024
    public var requests: Int = 1_024
    /// Requests that wait for a connection or a stream.
    public var pending: Int = 1_024
    /// Calls that are tried again and have no answer yet.
    public var retries: Int = 1_024
    /// Copies of others' requests that have not ended; for the process, too.
    public var mirrored: Int = 128
    public var streamWindowBytes: Int32 = 32 << 10
    public var streamWindowBytesMax: Int32 = 256 << 10
    public var connectionWindowBytes: Int32 = 2 << 20
    public var headerListBytes: Int = 64 << 10
    public var headerFields: Int = 100
    public var trailerBytes: Int = 64 << 10
    public var trailerFields: Int = 32
    /// 1xx responses before the final one.
    public var interimResponses: Int = 10
    /// RST_STREAM received within 10 s on one connection before it is given up: nghttp2 counts only
    /// those of clients.
    public var resets: Int = 1_000
    public var pings: Int = 100
    public var settings: Int = 10
    public var emptyData: Int = 100
    public var framesWithoutResponse: Int = 10_000

    public init() {}
}

/// How long Weir waits for an upstream's servers. Nanoseconds; 0 is never.
public struct UpstreamTimeouts: Equatable, Sendable {
    public var connect: Int64 = 1_000_000_000
    /// A TLS handshake, from the connection's being made.
    public var handshake: Int64 = 5_000_000_000
    public var settings: Int64 = 10_000_000_000
    /// From a header block's first frame to its last: nothing else can come in between.
    public var headerBlock: Int64 = 10_000_000_000
    public var idle: Int64 = 300_000_000_000
    /// A server that takes nothing of what waits for it.
    public var unreadOutput: Int64 = 30_000_000_000
    public var stalledWriter: Int64 = 300_000_000_000
    /// Reconnecting after a failure: first delay, and what doubling ends at. Jittered.
    public var backoffBase: Int64 = 100_000_000
    public var backoffMax: Int64 = 10_000_000_000
    /// PING when nothing was read for so long; 0 is off. Below 5 min many servers strike (gRFC A8).
    public var keepalive: Int64 = 0
    /// How long a PING's ACK may take.
    public var keepaliveAck: Int64 = 20_000_000_000
    /// TCP_USER_TIMEOUT: unacknowledged bytes end the connection (gRFC A18).
    public var tcpUser: Int64 = 20_000_000_000

    public init() {}
}
