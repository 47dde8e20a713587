internal import CLinux
internal import Glibc
internal import Proxy
internal import Wire

/// One question to the administration interface of another Weir, whose answer may bring
/// descriptors along.
enum AdminCall {
    private static let answerBytesMax = HandOver.bytesMax + 16_384
    private static let patienceNanoseconds: Int64 = 15_000_000_000
    /// Once the process that is meant has ended: another one may have its socket, and say so.
    private static let shortPatienceNanoseconds: Int64 = 2_000_000_000

    /// - body: of a POST; empty with GET. - watch: of the process that is asked, whose end is not
    ///   seen on the connection where its socket is this process's as well.
    static func make(
        _ method: String, _ page: String, _ body: String, at path: String,
        watch: ProcessWatch? = nil
    ) throws(TakeoverFailure) -> (answer: HTTPAnswer, descriptors: UnclaimedDescriptors) {
        let stream = try connect(path)
        defer { stream.close() }
        let head =
            "\(method) \(page) HTTP/1.1\r\nHost: weir\r\nConnection: close\r\n"
            + (body.isEmpty ? "" : "Content-Length: \(body.utf8.count)\r\n") + "\r\n"
        let descriptors = UnclaimedDescriptors()
        guard stream.write(Array((head + body).utf8)),
            let bytes = readAll(stream, descriptors, watch),
            let answer = HTTPAnswer(parsing: bytes)
        else { throw .refused("\(path): there is no answer that could be used") }
        return (answer, descriptors)
    }

    private static func connect(_ path: String) throws(TakeoverFailure) -> UnixStream {
        let stream: UnixStream
        do { stream = try UnixStream.open(path) } catch {
            switch error.errno {
            case ENOENT, ECONNREFUSED: throw .nobody("\(path): nobody listens there")
            default: throw .refused("\(path): \(error)")
            }
        }
        // Whoever else listens there could hand over anything.
        guard let user = stream.user, geteuid() == 0 || user == 0 || user == geteuid() else {
            stream.close()
            throw .refused("\(path): another user listens there")
        }
        return stream
    }

    /// Nil where the connection breaks, says too much, or nothing for too long.
    private static func readAll(
        _ stream: UnixStream, _ descriptors: UnclaimedDescriptors, _ watch: ProcessWatch?
    ) -> [UInt8]? {
        var end = Waiting.now() + patienceNanoseconds
        var watch = watch
        var bytes: [UInt8] = []
        while bytes.count <= answerBytesMax, descriptors.count <= HandOver.socketsMax {
            if watch?.hasEnded == true {
                end = min(end, Waiting.now() + shortPatienceNanoseconds)
                watch = nil
            }
            let left = (end - Waiting.now()) / 1_000_000
            guard left > 0 else { return nil }
            let sources = [stream.descriptor] + [watch?.descriptor].compactMap { $0 }
            Waiting.wait(for: sources, milliseconds: Int32(clamping: left))
            switch DescriptorPassing.receive(over: stream.descriptor) {
            case .bytes(let more, let found):
                bytes += more
                descriptors.add(found)
            case .strange(let found):
                descriptors.add(found)
                return nil
            case .nothingYet: continue
            case .ended: return bytes
            }
        }
        return nil
    }
}
