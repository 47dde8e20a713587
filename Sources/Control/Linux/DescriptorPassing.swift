internal import CLinux
internal import Glibc
internal import Proxy

/// Descriptors that go along with bytes over a unix socket (SCM_RIGHTS).
enum DescriptorPassing {
    /// The bytes that descriptors go along with on a connection of HTTP/1.1: an interim answer,
    /// which whoever knows nothing of descriptors passes over (RFC 9110, 15.2).
    private static let interimAnswer = Array("HTTP/1.1 103 Early Hints\r\n\r\n".utf8)

    /// Sends all of them, with as many interim answers as they need; false where the connection
    /// does not take them.
    static func send(_ sockets: [ListeningSocket], over connection: Int32) -> Bool {
        var rest = sockets.map(\.descriptor)[...]
        while !rest.isEmpty {
            let next = Array(rest.prefix(Int(WEIR_DESCRIPTORS_MAX)))
            let sent = unsafe weir_send_rights(
                connection, interimAnswer, interimAnswer.count, next, next.count)
            guard sent == interimAnswer.count else { return false }
            rest = rest.dropFirst(next.count)
        }
        return true
    }

    enum Received {
        case bytes([UInt8], descriptors: [Int32])
        case nothingYet, ended
        /// More came along than is taken at once, or something else than descriptors.
        case strange(descriptors: [Int32])
    }

    /// What has come. The descriptors are the caller's.
    static func receive(over connection: Int32) -> Received {
        var bytes = [UInt8](repeating: 0, count: 16_384)
        var descriptors = [Int32](repeating: -1, count: Int(WEIR_DESCRIPTORS_MAX))
        var found = 0
        let count = unsafe weir_receive_rights(
            connection, &bytes, bytes.count, &descriptors, &found)
        let taken = Array(descriptors.prefix(found))
        if count == -2 { return .strange(descriptors: taken) }
        if count > 0 || !taken.isEmpty {
            return .bytes(Array(bytes.prefix(max(0, count))), descriptors: taken)
        }
        return count < 0 && (errno == EAGAIN || errno == EINTR) ? .nothingYet : .ended
    }
}

/// Descriptors that nobody has taken yet: they are closed with this.
final class UnclaimedDescriptors {
    private var descriptors: [Int32] = []

    deinit { for descriptor in descriptors { close(descriptor) } }

    var count: Int { descriptors.count }

    func add(_ more: [Int32]) { descriptors += more }

    /// All of them, which are the caller's from here on.
    func claim() -> [Int32] {
        defer { descriptors = [] }
        return descriptors
    }
}
