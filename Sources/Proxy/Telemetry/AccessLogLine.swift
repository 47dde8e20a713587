internal import Wire

/// The fields of one line, in either format.
struct AccessLogLine {
    /// What stands before a field's value in each format, with what separates it from the last.
    struct Key {
        let json: StaticString
        let text: StaticString

        @inline(always)
        private init(_ json: StaticString, _ text: StaticString) {
            self.json = json
            self.text = text
        }

        static var listener: Key { Key(",\"listener\":", " listener=") }
        static var peer: Key { Key(",\"peer\":", " peer=") }
        static var identity: Key { Key(",\"identity\":", " identity=") }
        static var method: Key { Key(",\"method\":", " method=") }
        static var authority: Key { Key(",\"authority\":", " authority=") }
        static var path: Key { Key(",\"path\":", " path=") }
        static var route: Key { Key(",\"route\":", " route=") }
        static var upstream: Key { Key(",\"upstream\":", " upstream=") }
        static var endpoint: Key { Key(",\"endpoint\":", " endpoint=") }
        static var status: Key { Key(",\"status\":", " status=") }
        static var grpcStatus: Key { Key(",\"grpc_status\":", " grpc_status=") }
        static var duration: Key { Key(",\"duration_ms\":", " duration_ms=") }
        static var firstByte: Key { Key(",\"first_byte_ms\":", " first_byte_ms=") }
        static var requestBytes: Key { Key(",\"request_bytes\":", " request_bytes=") }
        static var responseBytes: Key { Key(",\"response_bytes\":", " response_bytes=") }
        static var requestMessages: Key { Key(",\"request_messages\":", " request_messages=") }
        static var responseMessages: Key { Key(",\"response_messages\":", " response_messages=") }
        static var deadline: Key { Key(",\"deadline_ms\":", " deadline_ms=") }
        static var deadlineLeft: Key { Key(",\"deadline_left_ms\":", " deadline_left_ms=") }
        static var attempts: Key { Key(",\"attempts\":", " attempts=") }
        static var notRetried: Key { Key(",\"not_retried\":", " not_retried=") }
        static var rule: Key { Key(",\"rule\":", " rule=") }
        static var access: Key { Key(",\"access\":", " access=") }
        static var dryRunRule: Key { Key(",\"dry_run_rule\":", " dry_run_rule=") }
        static var dryRun: Key { Key(",\"dry_run\":", " dry_run=") }
        static var revision: Key { Key(",\"revision\":", " revision=") }
        static var requestID: Key { Key(",\"request_id\":", " request_id=") }
        static var connection: Key { Key(",\"connection\":", " connection=") }
        static var stream: Key { Key(",\"stream\":", " stream=") }
        static var upstreamConnection: Key {
            Key(",\"upstream_connection\":", " upstream_connection=")
        }
        static var upstreamStream: Key { Key(",\"upstream_stream\":", " upstream_stream=") }
        static var endedBy: Key { Key(",\"ended_by\":", " ended_by=") }
        static var reason: Key { Key(",\"reason\":", " reason=") }
        static var fault: Key { Key(",\"fault\":", " fault=") }
        static var detail: Key { Key(",\"detail\":", " detail=") }
        static var limit: Key { Key(",\"limit\":", " limit=") }
        static var resetCode: Key { Key(",\"reset_code\":", " reset_code=") }
        static var resetFrame: Key { Key(",\"reset_frame\":", " reset_frame=") }
        static var resetBy: Key { Key(",\"reset_by\":", " reset_by=") }
        static var truncated: Key { Key(",\"truncated\":", " truncated=") }
    }

    private let buffer: LineBuffer
    private let isJSON: Bool

    init(_ buffer: LineBuffer, isJSON: Bool) {
        self.buffer = buffer
        self.isJSON = isJSON
    }

    func begin() { if isJSON { buffer.append(UInt8(ascii: "{")) } }

    func end() {
        if isJSON { buffer.append(UInt8(ascii: "}")) }
        buffer.append(UInt8(ascii: "\n"))
    }

    /// The first field.
    func time(_ second: UTCText, microseconds: UInt64) {
        let key: StaticString = isJSON ? "\"time\":\"" : "time="
        buffer.append(key)
        buffer.append(second.bytes.span)
        buffer.append(UInt8(ascii: "."))
        buffer.append(microseconds, digits: 6)
        buffer.append(UInt8(ascii: "Z"))
        quote()
    }

    @inline(always)
    private func key(_ key: Key) {
        if isJSON { buffer.append(key.json) } else { buffer.append(key.text) }
    }

    @inline(always)
    private func quote() { if isJSON { buffer.append(UInt8(ascii: "\"")) } }

    /// A text from outside; one without bytes is left out.
    @inline(always)
    func text(_ key: Key, _ text: ByteView) {
        if text.isEmpty { return }
        self.key(key)
        text.use { isJSON ? buffer.appendQuoted($0) : buffer.appendText($0) }
    }

    /// A word of Weir's own.
    @inline(always)
    func word(_ key: Key, _ word: StaticString) {
        self.key(key)
        quote()
        buffer.append(word)
        quote()
    }

    /// A name from the configuration, which needs no escaping; one without bytes is left out.
    @inline(always)
    func name(_ key: Key, _ name: ByteView) {
        if name.isEmpty { return }
        self.key(key)
        quote()
        buffer.append(name)
        quote()
    }

    @inline(always)
    func name(_ key: Key, _ name: ShortName) {
        self.key(key)
        quote()
        buffer.append(name)
        quote()
    }

    func string(_ key: Key, _ string: String) {
        self.key(key)
        let bytes = Array(string.utf8)
        if isJSON { buffer.appendQuoted(bytes.span) } else { buffer.appendText(bytes.span) }
    }

    @inline(always)
    func number(_ key: Key, _ number: UInt64) {
        self.key(key)
        buffer.append(number)
    }

    func isTrue(_ key: Key) {
        self.key(key)
        buffer.append("true")
    }

    /// Nanoseconds as milliseconds with three decimals.
    @inline(always)
    func milliseconds(_ key: Key, _ nanoseconds: Int64) {
        self.key(key)
        if nanoseconds < 0 { buffer.append(UInt8(ascii: "-")) }
        let microseconds = nanoseconds.magnitude / 1_000
        buffer.append(microseconds / 1_000)
        buffer.append(UInt8(ascii: "."))
        buffer.append(microseconds % 1_000, digits: 3)
    }

    @inline(always)
    func connection(_ key: Key, _ worker: UInt64, _ serial: UInt32) {
        self.key(key)
        quote()
        buffer.append(worker)
        buffer.append(UInt8(ascii: "-"))
        buffer.append(UInt64(serial))
        quote()
    }

    func grpcStatus(_ number: UInt32) {
        if number == ExchangeAccount.noStatus { return word(.grpcStatus, "none") }
        if let byte = UInt8(exactly: number), let status = GRPCStatus(rawValue: byte) {
            return word(.grpcStatus, status.name)
        }
        key(.grpcStatus)
        quote()
        buffer.append(UInt64(number))
        quote()
    }

    func resetCode(_ number: UInt32) {
        if let code = HTTP2Code(rawValue: number) { return word(.resetCode, code.name) }
        key(.resetCode)
        quote()
        buffer.append(UInt64(number))
        quote()
    }
}

/// A second as `2026-02-03T10:11:12`, in UTC.
struct UTCText {
    private(set) var bytes: [19 of UInt8] = .init(repeating: UInt8(ascii: "-"))

    /// - second: since 1970; before that it is 1970.
    init(second: Int64) {
        let second = max(second, 0)
        let (day, rest) = second.quotientAndRemainder(dividingBy: 86_400)
        let date = Self.date(day)
        put(date.year / 100, at: 0)
        put(date.year % 100, at: 2)
        put(date.month, at: 5)
        put(date.day, at: 8)
        bytes[10] = UInt8(ascii: "T")
        put(rest / 3_600, at: 11)
        bytes[13] = UInt8(ascii: ":")
        put(rest / 60 % 60, at: 14)
        bytes[16] = UInt8(ascii: ":")
        put(rest % 60, at: 17)
    }

    private mutating func put(_ number: Int64, at place: Int) {
        bytes[place] = UInt8(truncatingIfNeeded: number / 10 % 10) &+ 0x30
        bytes[place &+ 1] = UInt8(truncatingIfNeeded: number % 10) &+ 0x30
    }

    /// The Gregorian date of a day since 1970. Years are counted from March, so that the leap day
    /// is a year's last, in spans of 400 years, which have 146,097 days each.
    static func date(_ day: Int64) -> (year: Int64, month: Int64, day: Int64) {
        let shifted = day + 719_468
        let (era, dayOfEra) = shifted.quotientAndRemainder(dividingBy: 146_097)
        let yearOfEra =
            (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let month = (5 * dayOfYear + 2) / 153
        let dayOfMonth = dayOfYear - (153 * month + 2) / 5 + 1
        let isNextYear = month >= 10
        let year = yearOfEra + era * 400 + (isNextYear ? 1 : 0)
        return (year, isNextYear ? month - 9 : month + 3, dayOfMonth)
    }
}
