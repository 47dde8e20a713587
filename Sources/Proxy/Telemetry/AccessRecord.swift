internal import Configuration
internal import Rules
internal import Wire

/// An exchange as a worker copies it into its ring: numbers in a fixed form, then texts.
struct AccessRecord: BitwiseCopyable {
    /// How much is kept of each text. Names in a configuration have at most 100 bytes, paths of
    /// sockets 107.
    enum Bound {
        static let method = 32
        static let authority = 255
        static let path = 2_048
        static let requestID = 128
        static let identity = 255
        static let detail = 255
        static let socketPath = 108
    }

    /// Of the texts, in the order in which they follow.
    struct Lengths: BitwiseCopyable {
        var listener: UInt16 = 0
        var peerPath: UInt16 = 0
        var identity: UInt16 = 0
        var method: UInt16 = 0
        var authority: UInt16 = 0
        var path: UInt16 = 0
        var route: UInt16 = 0
        var upstream: UInt16 = 0
        var endpointPath: UInt16 = 0
        var rule: UInt16 = 0
        var dryRunRule: UInt16 = 0
        var revision: UInt16 = 0
        var requestID: UInt16 = 0
        var detail: UInt16 = 0
    }

    var startedAt: Int64
    var endedAt: Int64
    /// 0 is none, as elsewhere.
    var deadline: Int64
    var requestBytes: Int64
    var answeredAt: Int64
    var responseBytes: Int64
    var peer: PackedAddress
    var endpoint: PackedAddress
    var requestMessages: UInt32
    var responseMessages: UInt32
    var grpcStatus: UInt32
    var connection: UInt32
    var stream: Int32
    var upstreamConnection: UInt32
    var upstreamStream: Int32
    var reset: ExchangeEnd.Reset
    var status: UInt16
    var attempts: UInt16
    var notRetried: NotRetried
    var reason: ExchangeEnd.Reason
    var success: ExchangeEnd.Reason
    var fault: ExchangeEnd.Side
    var limit: Limit?
    var access: AccessOutcome?
    var isGRPC: Bool
    var isTruncated = false
    var lengths = Lengths()

    init(_ exchange: Exchange, on connection: DownstreamConnection, endedAt: Int64) {
        startedAt = exchange.startedAt
        self.endedAt = endedAt
        deadline = exchange.deadline
        requestBytes = exchange.request.receivedBytes
        answeredAt = exchange.account.answeredAt
        responseBytes = exchange.account.responseBytes
        peer = connection.packedPeer
        endpoint = exchange.account.server.endpoint
        requestMessages = exchange.account.requestMessages.count
        responseMessages = exchange.account.responseMessages.count
        grpcStatus = exchange.account.grpcStatus
        self.connection = connection.serial
        stream = exchange.downstream.streamID
        upstreamConnection = exchange.account.server.connection
        upstreamStream = exchange.account.server.stream
        reset = exchange.account.end.reset
        status = exchange.account.status
        attempts = exchange.account.attempts
        notRetried = exchange.account.notRetried
        reason = exchange.account.end.reason
        success = exchange.account.end.success
        fault = exchange.account.end.fault
        limit = exchange.account.end.limit
        access = exchange.account.access
        isGRPC = exchange.isGRPC
    }
}

/// How an exchange gets its record.
extension Worker {
    /// Writes the exchange's record, where its configuration wants one.
    @inline(always)
    func log(_ exchange: Exchange, on connection: DownstreamConnection) {
        guard let records else { return }
        let generation = exchange.generation ?? connection.listener.borrowedGeneration
        let share = generation.use { $0.logShare }
        guard share >= 0, exchange.route?.use({ $0.isLogged }) != false else { return }
        if share < Generation.logShareMax, !exchange.isLogged(share: share, connection) { return }
        records.use { write(exchange, on: connection, to: $0) }
    }

    private func write(
        _ exchange: Exchange, on connection: DownstreamConnection, to writer: RecordWriter
    ) {
        guard writer.begin(AccessRecord.self) else { return }
        var record = AccessRecord(exchange, on: connection, endedAt: workspace.now)
        let head = exchange.head
        let headers = exchange.request.headers
        record.lengths.listener = connection.listener.borrowedTerms.use {
            writer.append($0.shortName, or: $0.name)
        }
        if record.peer.kind == .unix, case .unix(let path) = connection.peer {
            record.lengths.peerPath = writer.append(path)
        }
        if let identity = connection.provenName {
            record.lengths.identity = writer.append(identity, max: AccessRecord.Bound.identity)
            record.isTruncated = identity.count > AccessRecord.Bound.identity
        }
        if let method = headers.value(at: head.method) {
            record.lengths.method = writer.append(method, max: AccessRecord.Bound.method)
            if method.count > AccessRecord.Bound.method { record.isTruncated = true }
        }
        if let authority = headers.value(at: head.authority) ?? headers.value(at: head.host) {
            record.lengths.authority = writer.append(authority, max: AccessRecord.Bound.authority)
            if authority.count > AccessRecord.Bound.authority { record.isTruncated = true }
        }
        if let path = headers.value(at: head.path) {
            record.lengths.path = writer.append(path, max: AccessRecord.Bound.path)
            if path.count > AccessRecord.Bound.path { record.isTruncated = true }
        }
        if let route = exchange.route {
            record.lengths.route = route.use { writer.append($0.shortName, or: $0.name) }
        }
        if let pool = exchange.attempt.use({ $0.pool }) {
            record.lengths.upstream = pool.use { writer.append($0.shortName, or: $0.name) }
        }
        appendRest(exchange, to: writer, &record)
        writer.commit(record)
    }

    @inline(always)
    private func appendRest(
        _ exchange: Exchange, to writer: RecordWriter, _ record: inout AccessRecord
    ) {
        record.lengths.endpointPath = writer.append(
            exchange.account.server.path, max: AccessRecord.Bound.socketPath)
        if let generation = exchange.generation {
            if let access = record.access, access.isByRule {
                appendRules(access, generation, to: writer, &record)
            }
            record.lengths.revision = generation.use {
                writer.append($0.shortRevision, or: $0.snapshot.revision)
            }
        }
        if let id = exchange.request.headers.value(at: exchange.head.requestID) {
            record.lengths.requestID = writer.append(id, max: AccessRecord.Bound.requestID)
            if id.count > AccessRecord.Bound.requestID { record.isTruncated = true }
        }
        let detail = exchange.account.end.detail
        record.lengths.detail = writer.append(detail, max: AccessRecord.Bound.detail)
    }

    private func appendRules(
        _ access: AccessOutcome, _ generation: Borrowed<Generation>, to writer: RecordWriter,
        _ record: inout AccessRecord
    ) {
        generation.use { $0.access }.use { table in
            let rule = Int(access.decision.rule)
            if rule >= 0 {
                record.lengths.rule = writer.append(
                    table.shortNames[rule], or: table.rules[rule].name)
            }
            let dryRun = Int(access.rehearsal?.rule ?? -1)
            if dryRun >= 0 {
                record.lengths.dryRunRule = writer.append(
                    table.shortNames[dryRun], or: table.rules[dryRun].name)
            }
        }
    }
}

extension Exchange {
    /// Something went wrong, or the answer says so.
    var isError: Bool {
        !account.end.isSuccess || account.status >= 400 || isGRPC && account.grpcStatus != 0
    }

    /// Errors are always logged; of the rest so many of 2^32, by a hash that any other proxy makes
    /// of the same request's ID, too.
    fileprivate func isLogged(share: Int64, _ connection: DownstreamConnection) -> Bool {
        if isError { return true }
        if share == 0 { return false }
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        if let id = request.headers.value(at: head.requestID) {
            for index in 0..<min(id.count, AccessRecord.Bound.requestID) {
                hash = (hash ^ UInt64(id[index])) &* 0x100_0000_01b3
            }
        } else {
            hash ^=
                UInt64(connection.serial) << 32 | UInt64(UInt32(bitPattern: downstream.streamID))
        }
        // The multiplication carries upwards only: all bits have to reach the upper half.
        hash = (hash ^ hash >> 32) &* 0x9e37_79b9_7f4a_7c15
        hash = (hash ^ hash >> 29) &* 0xbf58_476d_1ce4_e5b9
        return Int64(hash >> 32) < share
    }
}
