import Peers

/// Judges what Weir said on a connection, whatever it had been told there: to clients whole frames
/// in an order that a stream may have, to servers HTTP/2 without a mistake (nghttp2 is the judge).
enum HeardFrames {
    private struct Frame {
        let kind: UInt8
        let flags: UInt8
        let stream: UInt32
        let range: Range<Int>
    }

    private static let frameHead = 9
    private static let payloadMax = 16_384

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

    static func clientFault(_ bytes: [UInt8]) -> String? {
        if bytes.isEmpty || bytes.starts(with: "HTTP/1.1 505 ".utf8) { return nil }
        guard let frames = frames(bytes, from: 0) else { return "a client heard no frames" }
        guard frames.first.map({ $0.kind == 4 && $0.flags == 0 }) ?? true else {
            return "a client did not hear SETTINGS first"
        }
        var ended: Set<UInt32> = []
        var reset: Set<UInt32> = []
        for frame in frames {
            switch frame.kind {
            case 0, 1, 9:
                guard frame.stream % 2 == 1 else {
                    return "a client heard of stream \(frame.stream)"
                }
                guard !reset.contains(frame.stream),
                    frame.kind == 9 || !ended.contains(frame.stream)
                else { return "a client heard more of stream \(frame.stream) after its end" }
                if frame.kind < 9, frame.flags & 1 == 1 { ended.insert(frame.stream) }
            case 3:
                guard frame.stream % 2 == 1 else { return "a client heard a reset of nothing" }
                reset.insert(frame.stream)
            case 2, 5: return "a client heard a frame of kind \(frame.kind)"
            default: break
            }
        }
        return nil
    }

    static func serverFault(_ bytes: [UInt8]) -> String? {
        let preface = RawFrames.preface
        guard bytes.starts(with: preface) else {
            return preface.starts(with: bytes) ? nil : "a server heard another preface"
        }
        guard let frames = frames(bytes, from: preface.count) else {
            return "a server heard no frames"
        }
        var terms = PeerSession.Terms()
        terms.streamWindowBytes = UInt32(Int32.max)
        terms.connectionWindowBytes = .max
        terms.growsWindowsByItself = false
        let judge = PeerSession(.server, terms)
        _ = judge.takeOutput()
        var given = preface
        var isFirst = true
        for frame in frames {
            // Not acknowledgements of what the judge has not said, of whose own there is one; nor
            // what Weir thinks of streams that the server began and the judge did not.
            let isAcknowledgement = frame.kind == 4 && frame.flags & 1 == 1
            let isRefusal = frame.kind == 3 && frame.stream > 0 && frame.stream % 2 == 0
            if !isAcknowledgement, !isRefusal { given += bytes[frame.range] }
            if isFirst { given += RawFrames.frame(4, 1, 0, []) }
            isFirst = false
        }
        do throws(PeerFailure) { try judge.receive(given) } catch {
            return "a server heard what is not HTTP/2: \(error)"
        }
        for event in judge.takeEvents() {
            switch event {
            case .invalid(let stream, let error):
                return "a server heard something invalid on stream \(stream): \(error)"
            case .protested(let stream, let code):
                return "a server would reset stream \(stream) with \(code)"
            default: break
            }
        }
        return nil
    }
}
