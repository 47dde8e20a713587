/// A blocking socket's bytes, in TLS where there are terms for it. Belongs to one thread.
final class PeerLink {
    /// How long the other end may be silent in the middle of a handshake.
    private static let patienceMilliseconds: Int32 = 10_000

    private let socket: BlockingPeerSocket
    private let tls: PeerTLS?
    /// What came together with the end of the handshake.
    private var early: [UInt8] = []

    /// Waits for the end of the handshake; nil where it fails. The socket stays the caller's.
    init?(_ socket: BlockingPeerSocket, _ role: PeerTLS.Role, _ terms: PeerTLS.Terms?) {
        self.socket = socket
        tls = terms.flatMap { PeerTLS(role, $0) }
        if terms == nil { return }
        guard let tls, tls.shakeHands(), socket.write(tls.takeOutput()) else { return nil }
        while !tls.isEstablished {
            guard case .bytes(let bytes) = socket.read(waiting: Self.patienceMilliseconds) else {
                return nil
            }
            let plain = tls.open(bytes)
            guard socket.write(tls.takeOutput()), let plain else { return nil }
            early += plain
        }
    }

    var peerCertificate: [UInt8]? { tls?.peerCertificate }

    /// Sends everything; false where the connection is gone.
    func write(_ bytes: [UInt8]) -> Bool {
        guard let tls else { return socket.write(bytes) }
        tls.seal(bytes)
        return socket.write(tls.takeOutput())
    }

    /// Waits for bytes for so many milliseconds at a time; -1 is for ever.
    func read(waiting milliseconds: Int32) -> BlockingPeerSocket.Read {
        guard let tls else { return socket.read(waiting: milliseconds) }
        while early.isEmpty {
            if tls.hasEnded { return .ended }
            let read = socket.read(waiting: milliseconds)
            guard case .bytes(let bytes) = read else { return read }
            let plain = tls.open(bytes)
            guard socket.write(tls.takeOutput()), let plain else { return .ended }
            early = plain
        }
        defer { early = [] }
        return .bytes(early)
    }
}
