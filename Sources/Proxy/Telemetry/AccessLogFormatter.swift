public import Configuration
internal import Rules
internal import Wire

/// Makes lines of records. docs/access-log.md says what each field means; what is here is in its
/// order.
public final class AccessLogFormatter {
    /// No line is longer: every text grows sixfold at most, and there are about 3,000 bytes of
    /// them.
    static let lineBytesMax = 24 << 10

    private let rings: [RecordRing]
    private let buffer: LineBuffer
    @safe @exclusivity(unchecked) public var format = AccessLogTerms.Format.json
    /// From the workers' clock to the time of day.
    private var offset: Int64 = 0
    /// The second whose text was made last.
    @safe @exclusivity(unchecked) private var second: Int64 = .min
    @safe @exclusivity(unchecked) private var secondText = UTCText(second: 0)
    /// Texts of addresses that were written last, by a hash of the address: clients are few, and
    /// have many calls.
    @safe @exclusivity(unchecked) private var addresses = [KnownAddress](
        repeating: KnownAddress(), count: 256)
    @safe @exclusivity(unchecked) public private(set) var lines: UInt64 = 0

    private struct KnownAddress {
        var address = PackedAddress()
        var text = ShortName("")
    }

    public init(_ rings: [RecordRing], _ buffer: LineBuffer) {
        self.rings = rings
        self.buffer = buffer
    }

    /// Moves records into the buffer while it has room. `now`: both clocks, in nanoseconds.
    public func take(now: (monotonic: Int64, since1970: Int64)) {
        offset = now.since1970 &- now.monotonic
        for (index, ring) in rings.enumerated() {
            ring.take { record in
                guard buffer.room >= Self.lineBytesMax else { return false }
                write(record, worker: UInt64(index))
                return true
            }
        }
    }

    private func write(_ view: RecordView, worker: UInt64) {
        let record = view.head(AccessRecord.self)
        let line = AccessLogLine(buffer, isJSON: format == .json)
        line.begin()
        writeTime(record, line)
        var texts = RecordTexts(view)
        writeRequest(record, &texts, line)
        writeRoute(record, &texts, line)
        writeAmounts(record, line)
        writeIdentity(record, &texts, line, worker: worker)
        writeEnd(record, &texts, line)
        line.end()
        lines &+= 1
    }

    private func writeTime(_ record: AccessRecord, _ line: AccessLogLine) {
        let time = record.startedAt &+ offset
        let (seconds, rest) = time.quotientAndRemainder(dividingBy: 1_000_000_000)
        if seconds != second {
            second = seconds
            secondText = UTCText(second: seconds)
        }
        line.time(secondText, microseconds: UInt64(max(rest, 0)) / 1_000)
    }

    private func writeRequest(
        _ record: AccessRecord, _ texts: inout RecordTexts, _ line: AccessLogLine
    ) {
        line.name(.listener, texts.next(record.lengths.listener))
        let peerPath = texts.next(record.lengths.peerPath)
        writeAddress(.peer, record.peer, peerPath, line)
        line.text(.identity, texts.next(record.lengths.identity))
        line.text(.method, texts.next(record.lengths.method))
        line.text(.authority, texts.next(record.lengths.authority))
        line.text(.path, texts.next(record.lengths.path))
    }

    private func writeRoute(
        _ record: AccessRecord, _ texts: inout RecordTexts, _ line: AccessLogLine
    ) {
        line.name(.route, texts.next(record.lengths.route))
        line.name(.upstream, texts.next(record.lengths.upstream))
        let path = texts.next(record.lengths.endpointPath)
        if record.endpoint.kind != .none { writeAddress(.endpoint, record.endpoint, path, line) }
        if record.status > 0 { line.number(.status, UInt64(record.status)) }
        if record.isGRPC { line.grpcStatus(record.grpcStatus) }
    }

    /// - path: of a unix socket.
    private func writeAddress(
        _ key: AccessLogLine.Key, _ address: PackedAddress, _ path: ByteView, _ line: AccessLogLine
    ) {
        if address.kind == .unix {
            let text = address.address(path: path.text)?.description ?? ""
            return line.string(key, text)
        }
        let mixed =
            (address.high ^ address.low ^ UInt64(address.port) << 32) &* 0x9e37_79b9_7f4a_7c15
        let place = Int(truncatingIfNeeded: mixed >> 56) & (addresses.count - 1)
        if addresses[place].address != address {
            let text = address.address(path: "")?.description ?? ""
            addresses[place] = KnownAddress(address: address, text: ShortName(text))
        }
        let text = addresses[place].text
        if text.count < 0 { return line.string(key, address.address(path: "")?.description ?? "") }
        line.name(key, text)
    }

    private func writeAmounts(_ record: AccessRecord, _ line: AccessLogLine) {
        line.milliseconds(.duration, record.endedAt &- record.startedAt)
        if record.answeredAt > 0 {
            line.milliseconds(.firstByte, record.answeredAt &- record.startedAt)
        }
        line.number(.requestBytes, UInt64(clamping: record.requestBytes))
        line.number(.responseBytes, UInt64(clamping: record.responseBytes))
        if record.isGRPC {
            line.number(.requestMessages, UInt64(record.requestMessages))
            line.number(.responseMessages, UInt64(record.responseMessages))
        }
        if record.deadline > 0 {
            line.milliseconds(.deadline, record.deadline &- record.startedAt)
            line.milliseconds(.deadlineLeft, record.deadline &- record.endedAt)
        }
        if record.attempts > 0 { line.number(.attempts, UInt64(record.attempts)) }
        if record.notRetried != .none { line.word(.notRetried, record.notRetried.name) }
    }

    private func writeIdentity(
        _ record: AccessRecord, _ texts: inout RecordTexts, _ line: AccessLogLine, worker: UInt64
    ) {
        let (rule, dryRun) = (
            texts.next(record.lengths.rule), texts.next(record.lengths.dryRunRule)
        )
        if let access = record.access, access.isByRule {
            line.name(.rule, rule)
            if !rule.isEmpty { line.word(.access, access.decision.reason.name) }
            line.name(.dryRunRule, dryRun)
            if let rehearsal = access.rehearsal { line.word(.dryRun, rehearsal.reason.name) }
        }
        line.name(.revision, texts.next(record.lengths.revision))
        line.text(.requestID, texts.next(record.lengths.requestID))
        line.connection(.connection, worker, record.connection)
        line.number(.stream, UInt64(clamping: record.stream))
        guard record.upstreamConnection > 0 else { return }
        line.connection(.upstreamConnection, worker, record.upstreamConnection)
        line.number(.upstreamStream, UInt64(clamping: record.upstreamStream))
    }

    private func writeEnd(
        _ record: AccessRecord, _ texts: inout RecordTexts, _ line: AccessLogLine
    ) {
        var end = ExchangeEnd()
        end.reason = record.reason
        line.word(.endedBy, end.endedBy.name)
        line.word(.reason, record.reason.name)
        if record.fault != .none { line.word(.fault, record.fault.name) }
        line.text(.detail, texts.next(record.lengths.detail))
        if let limit = record.limit { line.string(.limit, limit.name) }
        if record.reset.frame != .none {
            line.resetCode(record.reset.code)
            let isReset = record.reset.frame == .resetStream
            line.word(.resetFrame, isReset ? "RST_STREAM" : "GOAWAY")
            line.word(.resetBy, record.reset.by.name)
        }
        if record.isTruncated { line.isTrue(.truncated) }
    }
}

/// The texts of a record, one after the other.
private struct RecordTexts {
    private let view: RecordView
    private var offset = 0

    init(_ view: RecordView) { self.view = view }

    mutating func next(_ count: UInt16) -> ByteView {
        defer { offset &+= Int(count) }
        return view.text(after: AccessRecord.self, at: offset, count: Int(count))
    }
}
