import Peers

/// One call as it is meant to be: what the client does and how the origin answers.
struct CallPlan {
    enum Cancel: Equatable {
        case never
        case after(nanoseconds: Int64)
        case afterRequestBytes(Int)
        case onResponseHeaders
        case afterResponseBytes(Int)
    }

    var isGRPC = true
    var method = "POST"
    var path = "/weir.echo.v1.Echo/Unary"
    var fields: [HeaderField] = []
    var request: [UInt8] = []
    var sending = Pacing()
    /// Request trailers, for plain HTTP.
    var trailers: [HeaderField] = []
    /// grpc-timeout, in nanoseconds and as the header says it.
    var timeout: (nanoseconds: Int64, text: String)?
    var cancel = Cancel.never
    var startsAfter: Int64 = 0
    /// One for each attempt that reaches an origin; the last serves for all further ones.
    var replies: [ReplyPlan] = []
}

/// In which portions a body is sent, and how long the sender rests between them.
struct Pacing {
    var portion = 1 << 20
    var rest: ClosedRange<Int64> = 0...0
}

/// How an origin answers one attempt.
struct ReplyPlan {
    enum Body { case echo, bytes([UInt8]) }

    enum End: Equatable {
        case complete
        /// The response ends before the request has, and RST_STREAM(NO_ERROR) follows.
        case completeThenReset
        /// RST_STREAM after so many bytes of the body; nil: before the header block.
        case reset(afterBytes: Int?, code: UInt32)
        /// One header block with END_STREAM.
        case headersOnly
        /// Nothing more, ever, after so many bytes; nil: not even a header block.
        case silence(afterBytes: Int?)
    }

    var waitsForRequest = true
    var delay: Int64 = 0
    var interims = 0
    var fields: [HeaderField] = []
    var body = Body.echo
    var sending = Pacing()
    var trailers: [HeaderField] = []
    var end = End.complete
}

/// One attempt of a call as it reached an origin.
final class AttemptRecord {
    let plan: ReplyPlan
    let origin: OriginConnection
    let stream: Int32
    /// Where in the call's attempts it is.
    let index: Int
    let startedAt: Int64
    /// Between these the proxy sent its HEADERS.
    let sentAt: Int64
    let sentBy: Int64
    /// The proxy's end of the connection; nil where there is no proxy.
    let connection: Sightings.Connection?
    /// When the proxy had its end, or was told of it, at the latest.
    private(set) var endedAt: Int64?
    private(set) var headersGivenAt: Int64?
    var requestFields: [HeaderField] = []
    var requestBytes: [UInt8] = []
    var requestTrailers: [HeaderField] = []
    /// When the proxy had sent so much that it is not kept to be sent again.
    private(set) var outgrewAt: Int64?
    var requestEnded = false
    /// The code of RST_STREAM that the proxy sent.
    var resetByProxy: UInt32?
    /// Between these it had sent that.
    var givenUpFrom: Int64?
    var givenUpAt: Int64?
    /// What the origin has handed to its session.
    var headersGiven = false { didSet { headersGivenAt = headersGivenAt ?? origin.world.now } }
    var bytesGiven: [UInt8] = []
    var responseEnded = false { didSet { ended(at: origin.world.now) } }
    var resetByOrigin: UInt32? { didSet { ended(at: origin.world.now) } }
    /// The origin said GOAWAY with a last stream below this one.
    var isUnprocessed = false
    var isClosed = false
    /// Where in what the origin says the answer to this begins at the earliest, and has ended.
    var answerStartsAt: Int?
    var answerEndsAt: Int?

    init(_ plan: ReplyPlan, _ origin: OriginConnection, stream: Int32, index: Int) {
        self.plan = plan
        self.origin = origin
        self.stream = stream
        self.index = index
        startedAt = origin.world.now
        (sentAt, sentBy) = origin.sentWithin
        connection = origin.world.sightings.connections[origin.socket.connection]
    }

    var place: Place { origin.place }

    /// When the proxy decided to send it is not known.
    var isVague: Bool { connection?.wasBlocked ?? true }

    func ended(at time: Int64) { endedAt = min(endedAt ?? .max, time) }

    func received(_ bytes: [UInt8], sentBy time: Int64) {
        requestBytes.append(contentsOf: bytes)
        let kept = origin.world.retry?.bufferKiB ?? RetryPlan.bufferKiBDefault
        if outgrewAt == nil, requestBytes.count > kept << 10 { outgrewAt = time }
    }

    /// Its end is the origin's.
    var isAnswered: Bool { (responseEnded || resetByOrigin != nil) && resetByProxy == nil }

    /// When the proxy had read the end of the answer; nil where that is not known.
    var heardAt: Int64? { answerEndsAt.flatMap { connection?.time(ofReadByte: $0 - 1) } }

    /// The proxy cannot have known anything of the answer before.
    var mayBeHeardAt: Int64 { answerStartsAt.flatMap { connection?.time(ofReadByte: $0) } ?? .max }
}

/// One call as it went.
final class Call {
    enum Outcome: Equatable {
        /// END_STREAM of a response.
        case complete
        case reset(UInt32)
        /// The connection ended under it.
        case connectionLost
        /// The client itself reset it.
        case cancelled
        /// GOAWAY with a last stream below this one.
        case unprocessed
        /// There was no connection to begin it on.
        case notStarted
    }

    let id: Int
    let plan: CallPlan
    var attempts: [AttemptRecord] = []
    /// What came to the mirror.
    var copies: [CopyRecord] = []
    weak var client: ClientConnection?
    var stream: Int32 = 0
    /// The client's address.
    var source: UInt32 = 0
    /// What its client shows, with TLS.
    var credential: Mesh.Credential?
    var sentAt: Int64 = 0
    var endedAt: Int64 = 0
    var interims = 0
    var responseFields: [HeaderField]?
    var responseBytes: [UInt8] = []
    var responseTrailers: [HeaderField] = []
    private(set) var outcome: Outcome?
    /// Bytes of the request that were handed to the session, and those not framed at the end.
    var givenBytes = 0
    var unsentBytes = 0
    /// Of a connection that the world cut or silenced.
    var wasCut = false
    /// Of a client that reads slowly: its clock says little about the proxy's.
    var isSlow = false

    init(id: Int, plan: CallPlan) {
        self.id = id
        self.plan = plan
    }

    /// The first end is the end.
    func end(_ outcome: Outcome, at time: Int64) {
        guard self.outcome == nil else { return }
        self.outcome = outcome
        endedAt = time
    }
}
