internal import Peers
internal import Wire

/// Makes one gRPC call on a unix socket, and waits for its end.
enum UnaryCaller {
    struct Failure: Error, Equatable {
        /// nil where the call did not reach a server or got no answer.
        let status: Int?
        let words: String
    }

    static let answerBytesMax = 1 << 20
    private static let patienceMilliseconds: Int32 = 10_000

    /// - path: `/package.Service/Method`.
    static func call(
        _ path: String, _ message: [UInt8], socket: String
    ) throws(Failure) -> [UInt8] {
        guard let stream = UnixStream.connect(socket) else {
            throw Failure(status: nil, words: "nobody listens on \(socket)")
        }
        defer { stream.close() }
        let client = CallClient(authority: "localhost")
        let fields = [
            HeaderField("te", "trailers"), HeaderField("content-type", "application/grpc"),
        ]
        let call = client.begin(method: "POST", path: path, fields: fields, hasBody: true)
        client.session.send(call, MessageFraming.frame(message))
        client.finish(call)
        let record = try wait(for: call, of: client, on: stream)
        guard record.grpcStatus == 0 else { throw refusal(record) }
        var body = record.body
        let messages = MessageFraming.takeMessages(&body)
        guard let answer = messages.first, messages.count == 1, body.isEmpty else {
            throw Failure(status: nil, words: "the answer is not one message")
        }
        return answer
    }

    private static func wait(
        for call: Int32, of client: CallClient, on stream: UnixStream
    ) throws(Failure) -> CallRecord {
        let end = Waiting.now() + Int64(patienceMilliseconds) * 1_000_000
        while true {
            if let record = client.record(call) {
                if record.end == .complete { return record }
                guard record.end == nil, record.body.count <= answerBytesMax else { break }
            }
            let left = end - Waiting.now()
            guard left > 0, stream.write(client.session.takeOutput()) else { break }
            switch stream.read(waiting: Int32(clamping: left / 1_000_000 + 1)) {
            case .nothingYet: continue
            case .ended: client.connectionEnded("the authority closed the connection")
            case .bytes(let bytes):
                if (try? client.receive(bytes)) == nil { client.connectionEnded("not HTTP/2") }
            }
        }
        throw Failure(status: nil, words: "there was no answer")
    }

    private static func refusal(_ record: CallRecord) -> Failure {
        guard let status = record.grpcStatus else {
            return Failure(status: nil, words: "HTTP status \(record.status)")
        }
        var words: [UInt8] = []
        PercentCoding.decode(Array((record.grpcMessage ?? "").utf8).span, into: &words)
        return Failure(status: status, words: String(decoding: words, as: UTF8.self))
    }
}
