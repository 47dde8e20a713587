internal import Wire

/// The fields of one line, in either format. A field's key is given as text has it, ` key=`.
struct AccessLogLine {
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
    private func key(_ key: StaticString) {
        if isJSON { buffer.appendJSONKey(key) } else { buffer.append(key) }
    }

    @inline(always)
    private func quote() { if isJSON { buffer.append(UInt8(ascii: "\"")) } }

    /// A text from outside; one without bytes is left out.
    @inline(always)
    func text(_ key: StaticString, _ text: ByteView) {
        if text.isEmpty { return }
        self.key(key)
        text.use { isJSON ? buffer.appendQuoted($0) : buffer.appendText($0) }
    }

    /// A word of Weir's own.
    @inline(always)
    func word(_ key: StaticString, _ word: StaticString) {
        self.key(key)
        quote()
        buffer.append(word)
        quote()
    }

    func name(_ key: StaticString, _ name: String) {
        self.key(key)
        quote()
        for byte in name.utf8 { buffer.append(byte) }
        quote()
    }

    @inline(always)
    func number(_ key: StaticString, _ number: UInt64) {
        self.key(key)
        buffer.append(number)
    }

    func isTrue(_ key: StaticString) {
        self.key(key)
        buffer.append("true")
    }

    /// Nanoseconds as milliseconds with three decimals.
    @inline(always)
    func milliseconds(_ key: StaticString, _ nanoseconds: Int64) {
        self.key(key)
        if nanoseconds < 0 { buffer.append(UInt8(ascii: "-")) }
        let microseconds = nanoseconds.magnitude / 1_000
        buffer.append(microseconds / 1_000)
        buffer.append(UInt8(ascii: "."))
        buffer.append(microseconds % 1_000, digits: 3)
    }

    @inline(always)
    func connection(_ key: StaticString, _ worker: UInt64, _ serial: UInt32) {
        self.key(key)
        quote()
        buffer.append(worker)
        buffer.append(UInt8(ascii: "-"))
        buffer.append(UInt64(serial))
        quote()
    }

    func grpcStatus(_ number: UInt32) {
        if number == ExchangeAccount.noStatus { return word(" grpc_status=", "none") }
        if let byte = UInt8(exactly: number), let status = GRPCStatus(rawValue: byte) {
            return word(" grpc_status=", status.name)
        }
        key(" grpc_status=")
        quote()
        buffer.append(UInt64(number))
        quote()
    }

    func resetCode(_ number: UInt32) {
        if let code = HTTP2Code(rawValue: number) { return word(" reset_code=", code.name) }
        key(" reset_code=")
        quote()
        buffer.append(UInt64(number))
        quote()
    }

    /// - path: of a unix socket.
    func address(_ key: StaticString, _ address: PackedAddress, _ path: ByteView) {
        switch address.kind {
        case .none: return
        case .ipv4:
            self.key(key)
            quote()
            for shift in stride(from: UInt64(24), through: 0, by: -8) {
                buffer.append(address.low >> shift & 0xff)
                buffer.append(UInt8(ascii: shift > 0 ? "." : ":"))
            }
            buffer.append(UInt64(address.port))
            quote()
        case .ipv6, .unix:
            guard let whole = address.address(path: path.text) else { return }
            self.key(key)
            let text = Array(whole.description.utf8)
            isJSON ? buffer.appendQuoted(text.span) : buffer.appendText(text.span)
        }
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
