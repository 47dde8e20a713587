import Glibc
import Proxy

@testable import Control

/// Two ends of a connection over a unix socket.
final class LinuxPair {
    let first: Int32
    let second: Int32

    init() {
        var ends: [Int32] = [-1, -1]
        unsafe _ = socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends)
        (first, second) = (ends[0], ends[1])
    }

    deinit {
        close(first)
        close(second)
    }

    /// Writes where the other end reads it.
    static func write(_ text: String, to descriptor: Int32) {
        let bytes = Array(text.utf8)
        unsafe _ = Glibc.write(descriptor, bytes, bytes.count)
    }

    /// All that is there to be read.
    static func drain(_ descriptor: Int32) -> (bytes: Int, descriptors: UnclaimedDescriptors) {
        let found = UnclaimedDescriptors()
        var count = 0
        while case .bytes(let bytes, let descriptors) = DescriptorPassing.receive(over: descriptor)
        {
            count += bytes.count
            found.add(descriptors)
        }
        return (count, found)
    }

    /// A duplicate of a socket, as whoever listens has it.
    static func listening(_ socket: LinuxSocket) -> ListeningSocket {
        ListeningSocket(descriptor: socket.handOver()) { close($0) }
    }
}
