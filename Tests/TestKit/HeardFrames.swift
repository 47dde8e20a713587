import Peers

/// Judges what Weir said on a connection, whatever it had been told there: frames in an order that
/// streams may have, and messages in which nghttp2 finds no fault.
enum HeardFrames {
    struct Fault: Error {
        let words: String
    }

    private struct Frame {
        let kind: UInt8
        let flags: UInt8
        let stream: UInt32
        let range: Range<Int>

        var isAcknowledgement: Bool { kind == 4 && flags & 1 == 1 }
    }

    private static let frameHead = 9
    private static let payloadMax = 16_384
    private static let acknowledgement = RawFrames.frame(4, 1, 0, [])

    /// The frames from `start` on, the last of which may be cut where the connection was; nil where
    /// they are none.
    private static func frames(_ bytes: [UInt8], from start: Int) -> [Frame]? {
        var frames: [Frame] = []
        var index = start
        while index + frameHead <= bytes.count {
            let count = bytes[index..<index + 3].reduce(0) { $0 << 8 | Int($1) }
            let stream = bytes[index + 5..<index + 9].reduce(0) { $0 << 8 | UInt32($1) }
            let (kind, flags) = (bytes[index + 3], bytes[index + 4])
            guard count <= payloadMax, kind <= 9, stream <= Int32.max else { return nil }
            let end = index + frameHead + count
            if end > bytes.count { break }
            frames.append(Frame(kind: kind, flags: flags, stream: stream, range: index..<end))
            index = end
        }
        return frames
    }

    private static var terms: PeerSession.Terms {
        var terms = PeerSession.Terms()
        terms.streamWindowBytes = UInt32(Int32.max)
        terms.connectionWindowBytes = .max
        terms.growsWindowsByItself = false
        return terms
    }

    // MARK: A client

    /// What a client was told, in order.
    static func byClient(_ bytes: [UInt8]) throws(Fault) -> [PeerEvent] {
        if bytes.isEmpty || bytes.starts(with: "HTTP/1.1 505 ".utf8) { return [] }
        guard let frames = frames(bytes, from: 0) else {
            throw Fault(words: "a client heard no frames")
        }
        if let first = frames.first, first.kind != 4 || first.flags != 0 {
            throw Fault(words: "a client did not hear SETTINGS first")
        }
        try checkOrder(frames)
        let last = frames.map(\.stream).max() ?? 0
        guard last < judgedStreamsMax else { return [] }
        let judge = PeerSession(.client, terms)
        // Instead of Weir's own SETTINGS, which would let it ask for fewer at a time.
        var given = RawFrames.settings + acknowledgement
        try receive(given, judge, "client")
        for _ in 0..<(last + 1) / 2 { _ = judge.request(anything, isLast: true) }
        _ = judge.takeOutput()
        given = []
        for frame in frames where frame.kind != 4 { given += bytes[frame.range] }
        try receive(given, judge, "client")
        return try events(of: judge, "client", bodiless: bodiless(frames))
    }

    /// Streams whose response is its headers alone: as the judge does not know which requests were
    /// HEAD, it takes a content-length there for a mistake.
    private static func bodiless(_ frames: [Frame]) -> Set<UInt32> {
        Set(frames.filter { $0.kind == 1 && $0.flags & 1 == 1 }.map(\.stream))
            .subtracting(frames.filter { $0.kind == 0 }.map(\.stream))
    }

    private static let judgedStreamsMax = 1_000
    private static let anything = [
        HeaderField(":method", "POST"), HeaderField(":scheme", "http"), HeaderField(":path", "/"),
        HeaderField(":authority", "a.test"),
    ]

    private static func checkOrder(_ frames: [Frame]) throws(Fault) {
        var ended: Set<UInt32> = []
        var reset: Set<UInt32> = []
        for frame in frames {
            switch frame.kind {
            case 0, 1, 9:
                guard frame.stream % 2 == 1 else {
                    throw Fault(words: "a client heard of stream \(frame.stream)")
                }
                guard !reset.contains(frame.stream),
                    frame.kind == 9 || !ended.contains(frame.stream)
                else {
                    let words = "a client heard more of stream \(frame.stream) after its end"
                    throw Fault(words: words)
                }
                if frame.kind < 9, frame.flags & 1 == 1 { ended.insert(frame.stream) }
            case 3:
                guard frame.stream % 2 == 1 else {
                    throw Fault(words: "a client heard a reset of nothing")
                }
                reset.insert(frame.stream)
            case 2, 5: throw Fault(words: "a client heard a frame of kind \(frame.kind)")
            default: break
            }
        }
    }

    // MARK: A server

    /// What a server was told, in order.
    static func byServer(_ bytes: [UInt8]) throws(Fault) -> [PeerEvent] {
        let preface = RawFrames.preface
        guard bytes.starts(with: preface) else {
            if preface.starts(with: bytes) { return [] }
            throw Fault(words: "a server heard another preface")
        }
        guard let frames = frames(bytes, from: preface.count) else {
            throw Fault(words: "a server heard no frames")
        }
        let judge = PeerSession(.server, terms)
        _ = judge.takeOutput()
        var given = preface
        var isFirst = true
        for frame in frames {
            // Not acknowledgements of what the judge has not said, of whose own there is one; nor
            // what Weir thinks of streams that the server began and the judge did not.
            let isRefusal = frame.kind == 3 && frame.stream > 0 && frame.stream % 2 == 0
            if !frame.isAcknowledgement, !isRefusal { given += bytes[frame.range] }
            if isFirst { given += acknowledgement }
            isFirst = false
        }
        try receive(given, judge, "server")
        return try events(of: judge, "server")
    }

    // MARK: The judge

    private static func receive(
        _ bytes: [UInt8], _ judge: PeerSession, _ who: String
    ) throws(Fault) {
        do throws(PeerFailure) { try judge.receive(bytes) } catch {
            throw Fault(words: "a \(who) heard what is not HTTP/2: \(error)")
        }
    }

    private static func events(
        of judge: PeerSession, _ who: String, bodiless: Set<UInt32> = []
    ) throws(Fault) -> [PeerEvent] {
        // What it would answer by itself, too.
        _ = judge.takeOutput()
        let events = judge.takeEvents()
        for event in events {
            switch event {
            case .invalid(let stream, let error):
                if bodiless.contains(UInt32(stream)), error == messagingError { continue }
                let words = "a \(who) heard something invalid on stream \(stream): \(error)"
                throw Fault(words: words)
            case .protested(let stream, let code):
                if bodiless.contains(UInt32(stream)) { continue }
                throw Fault(words: "a \(who) would reset stream \(stream) with \(code)")
            default: break
            }
        }
        return events
    }

    /// NGHTTP2_ERR_HTTP_MESSAGING.
    private static let messagingError: Int32 = -532
}
