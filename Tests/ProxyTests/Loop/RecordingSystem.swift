import Proxy

/// A system whose clock stands still and whose only socket keeps what it was sent.
final class RecordingSystem: System {
    private(set) var sent: [UInt8] = []
    var time: Int64 = 1_000_000_000

    override func now() -> Int64 { time }
    override func random() -> UInt64 { 0 }
    override var instance: UInt64 { 0x1234 }
    override var waker: Waker { .silent }

    override func send(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) -> Sent {
        unsafe sent += bytes
        return .bytes(bytes.count)
    }

    func takeSent() -> [UInt8] {
        defer { sent = [] }
        return sent
    }
}
