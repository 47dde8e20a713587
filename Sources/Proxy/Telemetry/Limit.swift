/// Every limit and timer that can end a request or a connection: the name it has in the
/// configuration, in the log and in its counter.
public enum Limit: Int, CaseIterable, BitwiseCopyable, Sendable {
    case connections, handshakes, handshake
    case headerList, headerFields, path, trailers, trailerFields
    case pings, settings, emptyData, quietFrames, earlyResets, resets, continuations
    case controlFramesQueued, unreadOutput
    case preface, settingsAck, headerBlock, bodyIdle, stalledWriter, idle, connectionAge, drain
    case routeIdle, requestMessage, responseMessage, rateLimits
    case upstreamConnections, upstreamRequests, upstreamPending, upstreamConnect
    case upstreamHandshake, upstreamHeaderBlock
    case upstreamSettings, upstreamKeepalive, upstreamHeaderList, upstreamTrailers
    case upstreamInterimResponses, upstreamIdle, upstreamAdaptive, upstreamRetries
    case upstreamMirrored

    /// True where nobody did anything wrong.
    var isRoutine: Bool { self == .idle || self == .connectionAge || self == .upstreamIdle }

    public var name: String {
        switch self {
        case .connections: "connections"
        case .handshakes: "handshakes"
        case .handshake: "handshake"
        case .headerList: "header_list"
        case .headerFields: "header_fields"
        case .path: "path"
        case .trailers: "trailers"
        case .trailerFields: "trailer_fields"
        case .pings: "pings"
        case .settings: "settings"
        case .emptyData: "empty_data"
        case .quietFrames: "frames_without_request"
        case .earlyResets: "early_resets"
        case .resets: "resets"
        case .continuations: "continuations"
        case .controlFramesQueued: "control_frames_queued"
        case .unreadOutput: "unread_output"
        case .preface: "preface"
        case .settingsAck: "settings_ack"
        case .headerBlock: "header_block"
        case .bodyIdle: "body_idle"
        case .stalledWriter: "stalled_writer"
        case .idle: "idle"
        case .connectionAge: "connection_age"
        case .drain: "drain"
        case .routeIdle: "idle_timeout"
        case .requestMessage: "message_limits.request"
        case .responseMessage: "message_limits.response"
        case .rateLimits: "rate_limits"
        case .upstreamConnections: "upstream.connections"
        case .upstreamRequests: "upstream.requests"
        case .upstreamPending: "upstream.pending"
        case .upstreamConnect: "upstream.connect"
        case .upstreamHandshake: "upstream.handshake"
        case .upstreamSettings: "upstream.settings"
        case .upstreamHeaderBlock: "upstream.header_block"
        case .upstreamKeepalive: "upstream.keepalive_ack"
        case .upstreamHeaderList: "upstream.header_list"
        case .upstreamTrailers: "upstream.trailers"
        case .upstreamInterimResponses: "upstream.interim_responses"
        case .upstreamIdle: "upstream.idle"
        case .upstreamRetries: "upstream.retries"
        case .upstreamMirrored: "upstream.mirrored"
        case .upstreamAdaptive: "upstream.adaptive_concurrency"
        }
    }
}
