import CNghttp2
import TestKit
import Testing
import Wire

/// nghttp2's own rules for messages, which Weir has switched off, measure `MessageCheck`.
///
/// Left out is where Weir asks for more: what hosts and paths are made of, which `RequestCheck`
/// judges, and a `:status` below 100.
@Suite struct LibraryMessagingTests {
    @Test("nghttp2 and MessageCheck find the same messages malformed", arguments: [true, false])
    func agree(isRequest: Bool) throws {
        var random = Chance(seed: isRequest ? 1 : 2)
        var malformed = 0
        for _ in 0..<20_000 {
            let message =
                isRequest ? RandomMessage.request(&random) : RandomMessage.response(&random)
            let isMalformed = try LibrarySession(isServer: isRequest).refuses(message)
            let isRefused = isRequest ? message.isRefusedAsRequest : message.isRefusedAsResponse
            #expect(isRefused == isMalformed, "\(message)")
            malformed += isMalformed ? 1 : 0
        }
        #expect((4_000..<16_000).contains(malformed))
    }
}

/// A header block and a body, each of which may be malformed.
private struct RandomMessage: CustomStringConvertible {
    var fields: [(name: [UInt8], value: [UInt8])] = []
    /// -1 ends the stream with the headers.
    var body = -1
    var isHead = false

    var description: String {
        let lines = fields.map {
            String(decoding: $0.name, as: UTF8.self) + ": "
                + String(decoding: $0.value, as: UTF8.self).debugDescription
        }
        return "\(lines) body \(body) head \(isHead)"
    }

    private static let names = [
        "content-length", "te", "connection", "keep-alive", "proxy-connection", "upgrade",
        "transfer-encoding", "x", "x-weir-a", "x-jwt-b", "proxy-c", "grpc-timeout", "content-type",
        "user-agent", "cookie", "x_d", "", ":", ":unknown", ":protocol", "accept-encoding",
    ]
    private static let values = [
        "", "0", "5", "05", "-5", "5, 5", "99999999999999999999", "trailers", "TRAILERS", "gzip",
        "close", "a b", "a\tb", " a", "a ", "a\u{0}", "a\u{7f}b", "\u{e9}",
        "a longer value of some words", "a longer value with a\u{1}control", "x",
    ]

    private mutating func add(_ name: String, _ value: String) {
        fields.append((Array(name.utf8), Array(value.utf8)))
    }

    private mutating func addRandom(_ random: inout Chance) {
        for _ in 0..<(random.hits(percent: 40) ? random.within(1...2) : 0) {
            let name = random.pick(Self.names)
            let value = random.pick(Self.values)
            let place = random.within(0...fields.count)
            let isAtEnd = random.hits(percent: 50)
            fields.insert(
                (Array(name.utf8), Array(value.utf8)), at: isAtEnd ? fields.count : place)
        }
        // A byte of a name, or of a value whose bytes both sides look at alike.
        guard !fields.isEmpty, random.below(8) == 0 else { return }
        let place = random.below(fields.count)
        let judgedElsewhere = [":authority", ":path", ":status", "host"].map { Array($0.utf8) }
        if judgedElsewhere.contains(fields[place].name) { return }
        let byte = UInt8(random.below(256))
        if random.hits(percent: 50), !fields[place].name.isEmpty {
            fields[place].name[random.below(fields[place].name.count)] = byte
        } else if !fields[place].value.isEmpty {
            fields[place].value[random.below(fields[place].value.count)] = byte
        }
    }

    static func request(_ random: inout Chance) -> RandomMessage {
        var message = RandomMessage()
        let method = random.pick(["GET", "POST", "OPTIONS", "CONNECT", "G T", ""])
        let scheme = random.pick(["http", "https", "h2+c", "1http", "ht tp"])
        for (name, value) in [
            (":method", random.hits(percent: 80) ? "GET" : method),
            (":scheme", random.hits(percent: 80) ? "http" : scheme), (":path", "/a"),
            (":authority", "a.test"),
        ] {
            let chance = random.below(24)
            if chance > 0 { message.add(name, value) }
            if chance == 1 { message.add(name, value) }
        }
        if random.below(6) == 0 { message.add("host", "a.test") }
        if random.below(40) == 0 { message.add("host", "a.test") }
        message.addRandom(&random)
        if random.hits(percent: 50) { message.body = random.pick([0, 5, 6]) }
        return message
    }

    static func response(_ random: inout Chance) -> RandomMessage {
        var message = RandomMessage()
        let statuses = ["200", "204", "304", "101", "404", "20", "2000", "2x0", ""]
        let status = random.hits(percent: 60) ? "200" : random.pick(statuses)
        let chance = random.below(24)
        if chance > 0 { message.add(":status", status) }
        if chance == 1 { message.add(":status", status) }
        message.addRandom(&random)
        if random.hits(percent: 50) { message.body = random.pick([0, 5, 6]) }
        message.isHead = random.below(4) == 0
        return message
    }

    var isRefusedAsRequest: Bool {
        var check = MessageCheck()
        for (name, value) in fields {
            let token = HeaderToken.of(name.span)
            if check.requestField(token, name.span, value.span) == .malformed { return true }
        }
        let isConnect = fields.contains {
            $0.name == Array(":method".utf8) && $0.value == Array("CONNECT".utf8)
        }
        guard check.requestBlockEnded(isConnect: isConnect) else { return true }
        return !endsWell(&check)
    }

    var isRefusedAsResponse: Bool {
        var check = MessageCheck()
        var status: UInt16 = 0
        for (name, value) in fields {
            let token = HeaderToken.of(name.span)
            let verdict = check.responseField(token, name.span, value.span, status: status)
            if verdict == .malformed { return true }
            if token == .status { status = UInt16(String(decoding: value, as: UTF8.self)) ?? 0 }
        }
        let isEnd = body < 0
        guard check.responseBlockEnded(status: status, isEnd: isEnd, isHead: isHead) else {
            return true
        }
        return !endsWell(&check)
    }

    private func endsWell(_ check: inout MessageCheck) -> Bool {
        let count = Int64(max(body, 0))
        return check.bodyReceived(count) && check.ended(count)
    }
}

/// A session of nghttp2's with its messaging on, for one message.
@safe
private final class LibrarySession {
    private var session: OpaquePointer?
    private var deflater: OpaquePointer?
    private let isServer: Bool

    init(isServer: Bool) throws {
        self.isServer = isServer
        var callbacks: OpaquePointer?
        unsafe nghttp2_session_callbacks_new(&callbacks)
        if isServer {
            unsafe nghttp2_session_server_new(&session, callbacks, nil)
        } else {
            unsafe nghttp2_session_client_new(&session, callbacks, nil)
        }
        unsafe nghttp2_session_callbacks_del(callbacks)
        unsafe nghttp2_hd_deflate_new(&deflater, 4096)
        unsafe nghttp2_submit_settings(session, 0, nil, 0)
    }

    deinit {
        unsafe nghttp2_session_del(session)
        unsafe nghttp2_hd_deflate_del(deflater)
    }

    /// Whether the message ends its stream or the connection.
    func refuses(_ message: RandomMessage) throws -> Bool {
        if !isServer { request(isHead: message.isHead) }
        _ = sent()
        var bytes: [UInt8] = isServer ? Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8) : []
        bytes += Self.frame(type: 4, flags: 0, stream: 0, [])
        let isEnd = message.body < 0
        bytes += Self.frame(type: 1, flags: isEnd ? 5 : 4, stream: 1, block(message.fields))
        if !isEnd {
            let body = [UInt8](repeating: 0, count: message.body)
            bytes += Self.frame(type: 0, flags: 1, stream: 1, body)
        }
        let taken = unsafe bytes.withUnsafeBufferPointer {
            unsafe nghttp2_session_mem_recv(session, $0.baseAddress, $0.count)
        }
        try #require(taken == bytes.count)
        return sent().contains { $0 == 3 || $0 == 7 }
    }

    private func request(isHead: Bool) {
        let fields = [
            (":method", isHead ? "HEAD" : "GET"), (":scheme", "http"), (":path", "/"),
            (":authority", "a.test"),
        ].map { (Array($0.0.utf8), Array($0.1.utf8)) }
        unsafe Self.withFields(fields) { list in
            unsafe _ = nghttp2_submit_request(session, nil, list.baseAddress, list.count, nil, nil)
        }
    }

    /// The types of the frames that it sends.
    private func sent() -> [UInt8] {
        var all: [UInt8] = []
        var bytes: UnsafePointer<UInt8>?
        while case let count = unsafe nghttp2_session_mem_send(session, &bytes), count > 0 {
            unsafe all += UnsafeBufferPointer(start: bytes, count: count)
        }
        let preface = isServer || !all.starts(with: Array("PRI".utf8)) ? 0 : 24
        var types: [UInt8] = []
        var start = preface
        while start + 9 <= all.count {
            types.append(all[start + 3])
            start += 9 + Int(all[start]) << 16 + Int(all[start + 1]) << 8 + Int(all[start + 2])
        }
        return types
    }

    private func block(_ fields: [([UInt8], [UInt8])]) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 4096)
        let count = unsafe Self.withFields(fields) { list in
            unsafe bytes.withUnsafeMutableBufferPointer { buffer in
                unsafe nghttp2_hd_deflate_hd(
                    deflater, buffer.baseAddress, buffer.count, list.baseAddress, list.count)
            }
        }
        return Array(bytes.prefix(count))
    }

    private static func withFields<Result>(
        _ fields: [([UInt8], [UInt8])], _ body: (UnsafeMutableBufferPointer<nghttp2_nv>) -> Result
    ) -> Result {
        var text = fields.flatMap { $0.0 + $0.1 }
        return unsafe text.withUnsafeMutableBufferPointer { text in
            var at = 0
            var list: [nghttp2_nv] = unsafe []
            for (name, value) in fields {
                unsafe list.append(
                    nghttp2_nv(
                        name: unsafe text.baseAddress.map { unsafe $0 + at },
                        value: unsafe text.baseAddress.map { unsafe $0 + at + name.count },
                        namelen: name.count, valuelen: value.count, flags: 0))
                at += name.count + value.count
            }
            return unsafe list.withUnsafeMutableBufferPointer { unsafe body($0) }
        }
    }

    private static func frame(
        type: UInt8, flags: UInt8, stream: UInt8, _ payload: [UInt8]
    ) -> [UInt8] {
        let count = payload.count
        return [0, UInt8(count >> 8), UInt8(count & 0xff), type, flags, 0, 0, 0, stream] + payload
    }
}
